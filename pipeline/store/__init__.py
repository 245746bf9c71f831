"""Artifacts and the other files of a run's folder.

store.py              publish, read, retire and take back artifacts
  artifact.py         one Parquet file, and the record in its footer
  fixed_rows.py       single rows of a fixed-size column, without parsing the footer
  columns.py          the column types that an artifact may have
  layout.py           row groups, pages and compression of the file
  footers.py          records of all artifacts of a run, without opening most of these files
  footer_index.py     the index of footers beside the artifacts
  atomic.py           write a file whole or not at all; guarantees after a power cut
  regular.py          open a path only if it is a regular file
events.py             the event log
lock.py               one run at a time on an output
  owner.py            the owner of a lock, and whether its process still runs
backends/             storage: a folder of this machine or an object store
"""
