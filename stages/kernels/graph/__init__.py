"""Matches as edges of a graph.

components.py   connected components of edges that arrive in batches
linkage.py      components, complete linkage and stars
groups.py       groups of identical images, and pairs of groups as pairs of images
"""
