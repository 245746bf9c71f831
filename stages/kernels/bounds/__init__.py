"""Bound distances from below, by vectors that are shorter than the images.

coarse.py       sums over the cells of a grid: the vectors of the bound
orbits.py       turned vectors of sums, and invariants of these vectors under turns
directions.py   the directions along which the vectors of two blocks differ most
keys.py         directions that block pairs share, and the vectors of blocks along these directions
space.py        the input of the filters (vectors, orders of columns, cuts) and their output (candidates)
slack.py        the rounding error of float32, and a cut that loses no match in spite of the error"""
