"""Exact distances.

exact.py      squared differences, bits and floats, equal to the last bit on every path
native.py     the inner loops, compiled by numba
metric.py     what a block pair is compared by, and the matches that come out
identity.py   digests of thumbnails, as they are and up to quarter turns
turns.py      sets of quarter turns as four bits
spread.py     the largest distance inside a cluster
"""
