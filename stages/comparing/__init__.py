"""Compare blocks of images for the stage `pairs`.

block_pairs.py    the matches of one block pair, as rows
comparison.py     the settings that decide which pairs are matches
blocks.py         one block: the class of each image in each rule, representatives of identical images
  index_columns.py the columns of a block's index that a comparison needs
  block_cache.py  tables and vectors of blocks, kept from one block pair to the next
  metrics/        one file per metric: the points that a metric compares, and how a distance is stored
  thumbnails.py   thumbnails of single images, with a cache per process
order.py          block pairs in an order in which neighbours share blocks
rows.py           decoded images as rows of the table of thumbnails
match_rows.py     matches as rows of a table
delta.py          matches that an earlier artifact of a block pair holds already
copies.py         pairs within groups of identical images: counted, not compared
user_tables.py    CSV and Parquet files that users provide
figure.py         how a distance is shown: column, name, formatted number
references.py     images in folders that are marked as references
folders.py        the folder of each image, for the rule `pairs.folders`
functions.py      functions that a config names
pdq.py            a hash function that a config may name
paths.py          paths of files that a config names, made absolute
text.py           numbers as text"""
