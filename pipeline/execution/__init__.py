"""Run the stale tasks of a plan.

locked_run.py one run while its output is locked: plan, tasks, retiring, run.json
runner.py     one loop for every scheduler: feeds ready tasks, collects outcomes
  attempts.py   decides when a failed task is tried again
  executor.py   runs calls in a plain loop or on threads
  on_dask.py    submits calls to a Dask client
  task.py       runs one task where it was sent, and returns its outcome
    count.py      reports how much of a running task is done
    job.py        services for a task: settings, inputs, earlier artifacts, publishing of files
reporter.py   the interface for events of a run
  progress.py   shows progress as plain lines or JSON
  bars.py       shows progress as bars on a terminal
  pace.py       how much of each stage is done, and how fast
forecast.py   says what a run would do: for status, explain, estimate and graph
record.py     the content of run.json, and the exit code
watch.py      watches workers while tasks run
notices.py    forwards warnings to the reporter and to run.json
"""
