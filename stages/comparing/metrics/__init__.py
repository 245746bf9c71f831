"""Define the metrics of `pairs.metric`.

mse.py        thumbnails; coarse sums bound the distance from below
hamming.py    bits of hashes: the squared distance is the number of bits that differ
embedding.py  vectors of a user's function; cosine distance is half the squared distance of unit vectors
custom.py     a user's function of thumbnails, without bounds: every pair is measured
kinds.py      the table of metrics
compared.py   the images of a block: input of a metric, and its output for the kernels

Each metric becomes one `kernels.measure.metric.Metric`; the kernels treat all metrics alike."""
