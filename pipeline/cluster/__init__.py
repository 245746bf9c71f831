"""From the config's section `scheduler` to workers that can run tasks.

keys.py          the keys of the section, in groups
deployment.py    the kinds of scheduler: a dataclass for each, and Dask's cluster class
addresses.py     addresses of schedulers
checks.py        keys that contradict each other, certificates that are missing
arguments.py     keyword arguments of each kind's cluster class
dask_config.py   Dask's settings, logging and encryption
start.py         start a cluster
connect.py       connect to a scheduler
scheduler.py     start or find a cluster, wait for workers, return an executor
fitness.py       requirements of a worker: versions, storage, memory
admission.py     check each worker that has joined, and each that joins later
"""
