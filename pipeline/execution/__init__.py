"""Run the stale tasks of a plan.

runner.py     one loop for every scheduler: feeds ready tasks, collects outcomes
  attempts.py   decides when a failed task is tried again
  executor.py   submits calls to a plain loop or to a Dask client
  task.py       runs one task where it was sent, and returns its outcome
    job.py        services for a task: settings, inputs, earlier artifacts, publishing of files
reporter.py   the interface for events of a run
  progress.py   shows progress: bars on a terminal, plain lines or JSON
forecast.py   says what a run would do: for status, explain, estimate and graph
record.py     the content of run.json, and the exit code
watch.py      watches workers while tasks run
notices.py    forwards warnings to the reporter and to run.json
"""
