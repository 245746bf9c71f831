"""The mathematics: arrays in, arrays out; no files, no Dask, no Parquet.

compare.py     compare the images of two blocks, exactly, without a loop over pairs
  bounds/      lower bounds of distances
  filters/     the pairs that the bounds can't exclude
  measure/     exact distances
graph/         matches as edges: components, linkage, groups
cut.py         where a run of members is cut into partitions and blocks
hilbert.py     an order of block pairs in which neighbours share a block
arrays.py      the array library: NumPy, or CuPy on a GPU
code_cache.py  compiled kernels, in the user's cache folder
"""
