"""Find the files below folders and URLs.

files.py        folders: one `os.scandir` a folder, one `stat` a file
urls.py         URLs: one listing by fsspec
rules.py        which files count as images
companions.py   which files belong to an image
table.py        the files found, as columns
sections.py     the config sections `inputs`, `companions` and `partition`
"""
