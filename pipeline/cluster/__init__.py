"""Start Dask workers, or find workers, as set in the config section `scheduler`.

keys.py          the keys of the section, in groups
deployment.py    the kinds of scheduler: a dataclass for each, and Dask's cluster class
addresses.py     addresses of schedulers
checks.py        check for contradictory keys and missing certificates
arguments.py     keyword arguments of each kind's cluster class
dask_config.py   Dask's settings, logging and encryption
start.py         start a cluster
connect.py       connect to a scheduler
scheduler.py     start or find a cluster, wait for workers, return an executor
fitness.py       requirements of a worker: versions, storage, memory
admission.py     check each worker that has joined, and each that joins later
"""
