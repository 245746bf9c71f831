"""Run the stale tasks of a plan.

locked_run.py one run while its output is locked: plan, tasks, retiring, run.json
runner.py     one loop for every scheduler: submits ready tasks, collects outcomes
  attempts.py   decides when a failed task is tried again
  executor.py   runs calls in a plain loop or on threads
  on_dask.py    submits calls to a Dask client
  task.py       runs one task on a worker, and returns the outcome
    count.py      reports how much of a running task is done
    job.py        services for a task: settings, inputs, earlier artifacts, publishing of files
reporter.py   the interface for events of a run
  progress.py   shows progress as plain lines or JSON
  bars.py       shows progress as bars on a terminal
  pace.py       how much of each stage is done, and how fast
forecast.py   predicts what a run would do: for status, explain, estimate and graph
record.py     the content of run.json, and the exit code
watch.py      watches workers while tasks run
notices.py    forwards warnings to the reporter and to run.json
"""
