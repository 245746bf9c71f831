"""What `pairs.metric` may be: which points it compares, where they lie in space, and what is a match.

mse.py        thumbnails; coarse sums bound them from below
hamming.py    bits of the hashes: their squared distance is the number of bits that differ
embedding.py  vectors of a user's function; cosine is half the squared distance of vectors of length 1
custom.py     a user's function of thumbnails, for which there are no bounds: every pair is measured
kinds.py      the table of them                     compared.py  what goes into one, and what comes out

All four become one `kernels.metric.Metric`, and what compares them knows no other difference.
"""
