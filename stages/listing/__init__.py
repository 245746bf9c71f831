"""Find the images below folders and URLs, and inside container files.

files.py       folders: one `os.scandir` a folder, one `stat` a file
urls.py        URLs: one listing by fsspec
containers.py  container files: their members become images
members.py     the members of tar and zip files
known.py       the members of tar and zip files that have not changed since the last run
parquet.py     the rows of Parquet and Arrow files
image_columns.py  which column of a table holds images
values.py      labels and other values beside images
lists.py       lists of images: CSV, JSON lines, JSON of COCO, text
listed_images.py  the images that a list names
layouts.py     folders that are a data set of containers
patterns.py    globs and brace ranges in inputs
rules.py       which files count as images
companions.py  which files belong to an image
takeout.py     names that Google Takeout gives to the JSON of an image
table.py       the files found, as columns
stamps.py      stamps of files: a file with an equal stamp counts as unchanged
path_text.py   paths of any bytes, as text
sections.py    the config sections `inputs`, `companions` and `partition`
roots.py       checks of the inputs before a run
"""
