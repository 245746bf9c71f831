"""Run the stale tasks of a plan.

runner.py     one loop for every scheduler: feeds ready tasks, collects outcomes
  executor.py   submits calls to a plain loop or to a Dask client
  task.py       runs one task where it was sent, and returns its outcome
    job.py        what a task may ask for: settings, inputs, earlier artifacts, files of its own
progress.py   shows progress: bars on a terminal, plain lines, JSON, or nothing
watch.py      watches workers while tasks run
notices.py    forwards warnings to the reporter and to run.json
"""
