"""What knows images and is no stage: the commands, and what is drawn beside a run.

    before a run     examples.py, estimate.py, formats.py, demo.py
    before a run     estimate.py, status.py, formats.py, demo.py
    as it ends       summary.py   its lines
                     work.py      the page on the work, from levels.py
                     dates.py     when files were written to, for the report's page
                     gate.py      --fail-on
    what was found   results.py   as DataFrames: `load_run`
                     show.py, failures.py
                     export.py, with fiftyone.py and sql.py
    what to do       plan.py      what stays of each cluster, and what goes
                     apply.py     follows a plan, by acts.py, and writes journal.py
                     dismiss.py   no duplicates
    new files        check.py     against a finished run, which lender.py lends; what it found: checked.py
    is it right      verify.py, on verify_data.py, verify_files.py and verify_dull.py:
                     verify_truth.py, verify_nearest.py, verify_recount.py

`choices.py` holds what a command line needs to know of them, so that it is read without loading them."""
