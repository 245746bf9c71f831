"""The stages of fast-diff, one file each: scan, thumbnail, hash, index, pairs, cluster, plot."""
