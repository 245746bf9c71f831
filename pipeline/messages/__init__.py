"""Messages in the terminal.

errors.py   the tree of errors: each message says where, what, and what to do
words.py    plurals that agree with their numbers, and the nearest valid word
say.py      print a line, whatever control characters a name in the line holds
"""
