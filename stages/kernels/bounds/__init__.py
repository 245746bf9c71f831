"""Lower bounds of distances, from vectors that are shorter than the images.

coarse.py       sums over the cells of a grid: the vectors of the bound
directions.py   the directions along which vectors of two blocks differ most
space.py        points and cuts: what every squared distance hands to the filters
slack.py        the error of float32, and the cut that loses no match in spite of it
"""
