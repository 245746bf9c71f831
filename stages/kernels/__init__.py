"""Compute on arrays: NumPy in, NumPy out; no files, no Dask, no Parquet.

compare.py      compare the images of two blocks, exactly, without a loop over pairs
rules.py        the rules of a match, the matches of an earlier artifact, the counts of a block pair
positions.py    search, pair, count and exclude positions of images in sorted arrays
  bounds/       lower bounds of distances
  filters/      find the pairs that the bounds can't exclude, and measure these pairs
  measure/      exact distances
graph/          matches as edges: components, linkage, groups of identical images
cut.py          positions at which a sequence is cut into partitions and blocks
hilbert.py      an order of block pairs in which neighbours share a block
arrays.py       the array library: NumPy, or CuPy on a GPU
code_cache.py   the disk cache of compiled kernels
warm_up.py      compile all kernels ahead of their first use"""
