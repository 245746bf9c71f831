"""From the config's section `scheduler` to workers.

deployment.py   the section's parameters, and the table of scheduler kinds
arguments.py    the arguments of each kind's cluster class
scheduler.py    start or find a cluster, wait for workers, return an executor
fitness.py      what a worker must be: versions, storage, memory
admission.py    check each worker that is there, and each that joins later
"""
