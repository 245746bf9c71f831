"""Plan the tasks of a run, find the stale tasks, and state why tasks are stale.

discovery.py          the stages that installed distributions declare
tasks.py              every task of the run, and the inputs of each task
  fingerprint.py      a digest of all that determines an artifact
  resolve.py          which artifacts are current, and which tasks must run
    reasons.py        compares recipes to explain why an artifact is stale
    bases.py          earlier artifacts that a task may build on
    span_index.py     earlier artifacts that may hold rows of a task
  past_rows.py        the rows that the last run listed
    racy.py           files modified so shortly before their scan that the next run compares their bytes
preflight.py          the checks of every stage before the first task runs
call.py               a task that is ready to run, as it is sent to a worker
graph.py              the plan in the DOT language of Graphviz
"""
