"""What a power cut may leave on disk, and what the program makes of it.

recorder.py   writes down what is done to the files below a folder: writes, names, syncs
disk.py       rebuilds, from such a recording, the disks that a power cut may leave
dag.py        a small DAG of stages, and the runs that are cut
harness.py    many cuts of one recording, and what each is held against
"""
