"""What the stage `pairs` compares, and what the stages before it prepare.

comparison.py     the settings that decide which pairs are matches
blocks.py         one block: classes of the rules, representatives of identical images
  metrics/        a file a metric: the points that it compares, and the rows that come out
  thumbnails.py   thumbnails of single images, with a cache per process
    kept.py       the cache, bounded in bytes
  embed.py        vectors that a user's function makes of thumbnails
delta.py          what an earlier artifact of a block pair holds already
copies.py         pairs that a representative stands for: counted, and not compared
figure.py         the column of a distance: its name, its unit, and how it is printed
references.py     images in folders that are marked as references
functions.py      functions that a config names
paths.py          files that a config names
text.py           numbers in words
"""
