"""Access the storage of a run: a local folder, or an object store through fsspec.

files.py         a run's files in a folder
object_files.py  a run's files on an object store
locations.py     paths and URLs; credentials are kept out of messages
urls.py          the URLs of a config, and fsspec's options for these URLs
storage.py       object stores: put, read, list, copy and delete
retries.py       retry requests to an object store after a transient error
conditional.py   conditional puts and deletes
file_lock.py     the lock of an output in a folder
object_lock.py   the lock of an output on an object store
ranges.py        read Parquet files on an object store by ranges
"""
