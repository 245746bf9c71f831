"""Recompute a finished run with simple, independent code, and compare.

verify.py        the command: a random sample, or every pair
  files.py       the run's artifacts, read by pyarrow alone
  data.py        their columns as plain arrays
  truth.py       what the rules say of one pair; what a check found
  nearest.py     each sampled image against all others
  recount.py     the ledger by grouping; clusters by a plain union-find
  keepers.py     the keeper of each cluster, by sorted tuples
  dull.py        distances, by NumPy on 64-bit integers
"""
