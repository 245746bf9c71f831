"""Find the files below folders and URLs.

files.py   folders: one `os.scandir` a folder, one `stat` a file
urls.py    URLs: one listing by fsspec
rules.py   which files count as images
sections.py   the config sections `inputs` and `partition`
"""
