"""Messages in the terminal.

errors.py   the tree of errors: each message states the place, the problem and a remedy
words.py    plurals that agree with their numbers, and the nearest valid word
say.py      print lines, with control characters escaped
"""
