"""Process images: eight stages, one file each.

scan.py        find images, cut the list into partitions     listing/      folders and URLs
thumbnail.py   decode, scale down, coarse sums               decoding/     from a file to a thumbnail
hash.py        hashes in each turn, identical thumbnails
embed.py       vectors of images, for pairs.embedding        vectors/      models and functions
index.py       the data of one block for comparing, in one file
pairs.py       compare every image with every image          comparing/    blocks, metrics, earlier results
cluster.py     clusters, keepers, check of the ledger        clustering/   matches as a graph, keepers
plot.py        pictures, charts and the page                 report/       drawing, and the page's templates

kernels/       the mathematics: arrays in, arrays out
filtering/     write data sets without some images, for the command filter
commands/      the commands, and pages drawn beside a run"""
