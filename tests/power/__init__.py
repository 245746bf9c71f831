"""Build the disk states that a power cut may leave, and run the program on each.

recorder.py   records the operations on the files below a folder: writes, names, syncs
disk.py       rebuilds, from such a recording, the disks that a power cut may leave
dag.py        a small DAG of stages, and the runs that are cut
harness.py    makes many cuts of one recording, and checks each
"""
