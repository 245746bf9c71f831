"""Treat matches as the edges of a graph.

components.py   connected components of edges that arrive in batches
linkage.py      complete linkage, stars, spanning forests
groups.py       groups of identical images; pairs of groups turned into pairs of images
trees.py        images that folders share, for whole subtrees"""
