"""The process, and the machine on which the process runs.

installation.py   check that Python loads this distribution's code; commands that install missing packages
process.py        limits of a process that runs tasks: threads and memory
late_pandas.py    keep pyarrow from importing pandas
side_process.py   calls of slow functions in a separate process of low priority
cores.py          idle cores of this machine, shared by all processes of a user
interrupts.py     SIGINT and SIGTERM: the first signal ends a run cleanly, the second at once
"""
