"""What a power cut may leave on disk, and what the program makes of it.

recorder.py   records the operations on the files below a folder: writes, names, syncs
disk.py       rebuilds, from such a recording, the disks that a power cut may leave
dag.py        a small DAG of stages, and the runs that are cut
harness.py    makes many cuts of one recording, and checks each
"""
