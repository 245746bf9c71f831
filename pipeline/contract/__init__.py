"""The parts of the contract of a stage; stages import all of them from `pipeline.stage`.

work.py      what a stage's functions get and return: Task, Upstream, Inputs, Artifact, Job, Result
options.py   what only some stages declare: CacheKey, Source, Section, Reuse, Output, Preflight
"""
