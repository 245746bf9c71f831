"""Messages in the terminal.

errors.py   the tree of errors; each message says where, what, and what to do
say.py      print lines; control characters in names are escaped
"""
