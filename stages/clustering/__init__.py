"""Group matches into clusters, and choose the keeper of each cluster.

clusters.py       the table of clusters
matches.py        matches as a graph over images in path order, and its clusters
  dismissed.py    pairs that a person dismissed
  distances.py    distances inside clusters
  earlier.py      distances that an earlier artifact holds
  rows.py         rows of single images, from the artifacts that hold the rows
  members.py      members of clusters, with the facts that rules need
keepers.py        rules in order: which image of a cluster is the keeper, and why
  keeper_keys.py  the sort key of each rule
    originals.py    which image is the original, by format and encoding
  live.py         which of several folders is in use, and which is a backup
  copy_names.py   names of copies
  focus.py        sharpness, for the rule `sharpness`
ledger.py         check that every pair of images was accounted for"""
