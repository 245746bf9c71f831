"""What is done with images, a file a stage.

scan.py        find images, cut them into partitions         listing/      folders and URLs
thumbnail.py   decode, scale down, coarse sums               decoding/     from a file to a thumbnail
hash.py        hashes at four turns, identical thumbnails
index.py       what comparing needs of a block, in one file
pairs.py       compare every image with every image          comparing/    blocks, metrics, earlier results
cluster.py     clusters, the keeper of each, the ledger      clustering/   matches as a graph, keepers
plot.py        pictures, charts and the page                 report/       drawing, and the page's templates

kernels/       the mathematics: arrays in, arrays out
commands/      the commands, and what is drawn beside a run
"""
