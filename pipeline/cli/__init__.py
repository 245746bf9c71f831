"""The command line.

main.py        reads the command line and calls the command
acts.py        commands that change the user's files by a plan
runs.py        commands about finished runs
end.py         what is printed when a run fails or is interrupted
arguments.py   options and paths in any order
"""
