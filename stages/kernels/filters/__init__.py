"""Find the pairs that the bounds can't exclude, and measure these pairs.

leaves.py    leaves of a k-d tree and boxes around them, compiled by numba
product.py   one matrix product a tile, for NumPy and CuPy
check.py     measure candidates one by one, or whole tiles where candidates crowd
"""
