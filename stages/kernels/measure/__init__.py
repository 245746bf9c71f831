"""Measure distances exactly.

exact.py      squared differences of bytes, the same to the last bit on every path
floats.py     squared distances of float32 vectors, and distances by a user's function
native.py     the inner loops, compiled by numba
metric.py     a metric, the images of a block, and the matches of a block pair
identity.py   digests of thumbnails, as stored and up to turns
turns.py      quarter turns and mirror images of thumbnails, and sets of turns as bits
spread.py     the largest distance inside a cluster"""
