"""Read finished runs.

tables.py     a run's tables as pandas DataFrames: `load_run`
run_files.py  run.json, and artifacts as Arrow tables
earlier.py    columns and keys that runs of earlier versions lack
names.py      the image or the folder that a user typed
by_folder.py  summaries of files by folder
expand.py     matches of representatives as matches of all pairs of images
levels.py     how many pairs each level of the comparison left, from ledgers and the event log
"""
