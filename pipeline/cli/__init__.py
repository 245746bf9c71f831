"""Find the commands that packages declare, and run a command line.

main.py         the entry point: runs a command line and returns the exit code
discovery.py    find commands, as `pipeline.plan.discovery` finds stages
command.py      the contract: a command is frozen data that names one function
parameters.py   options and arguments that several commands share
interface.py    build click commands, with help, from declared commands
usage.py        one line for each problem in a command line
targets.py      the run or the config that a command line names
completion.py   completion of arguments in a shell
colour.py       whether output may have colours
end.py          messages at the end of a run that failed or was interrupted
"""
