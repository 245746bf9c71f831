"""Find the pairs that the bounds can't exclude, and measure these pairs.

tree.py      leaves of a k-d tree, each with a bounding box, compiled by numba
leaves.py    the filter on CPUs: boxes against boxes, points against boxes, points against points
product.py   the filter by matrix products, one product for each tile, for NumPy and CuPy
refine.py    measure candidates one by one, or whole tiles with many candidates"""
