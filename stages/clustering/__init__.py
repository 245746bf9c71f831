"""From matches to clusters, and to the image of each cluster that stays.

matches.py        matches as a graph over images in path order, and its clusters
  dismissed.py    pairs that a person dismissed
  distances.py    distances inside clusters
  rows.py         rows of single images, out of the artifacts that hold them
keepers.py        rules in order: which image of a cluster stays, and why
  keeper_keys.py  the sort key of each rule
  live.py         which of several folders is the live one, and which the backup
  copy_names.py   names that copies bear
  focus.py        sharpness, for the rule of that name
ledger.py         check that every pair of images was accounted for
"""
