"""Bound distances from below, by vectors that are shorter than the images.

coarse.py       sums over the cells of a grid: the vectors of the bound
orbits.py       the same vectors turned, and invariants of vectors under turns
directions.py   the directions along which the vectors of two blocks differ most
keys.py         the same directions for many block pairs, and the vectors of blocks along these directions
space.py        vectors, candidates and cuts: what every metric hands to the filters
slack.py        the rounding error of float32, and a cut that loses no match in spite of the error"""
