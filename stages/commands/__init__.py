"""What knows images and is no stage: the commands, and what is drawn beside a run.

    before a run     examples.py, estimate.py, status.py, formats.py, demo.py
    as it ends       summary.py   its lines
                     work.py      the page on the work, from levels.py
                     dates.py     when files were written to, for the report's page
                     gate.py      --fail-on
    what was found   results.py   as DataFrames: `load_run`
                     show.py, failures.py
                     export.py, with fiftyone.py and sql.py
    what to do       plan.py      what stays of each cluster, and what goes
                     apply.py     follows a plan: looks at what goes and, by stays.py, at what stays
                     undo.py      takes back what a journal tells
                     acts/        what is done to files (its `__init__.py` says in which order, and what is promised)
                     journal.py   what was done; alone.py: one command at a time
                     dismiss.py   no duplicates
    new files        check.py     against a finished run, which lender.py lends; what it found: checked.py
    is it right      verify/

`choices.py` holds what a command line needs to know of them, so that it is read without loading them."""
