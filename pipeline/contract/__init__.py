"""The contract of a stage, in parts; stages import from `pipeline.stage`.

work.py      what a stage's functions get and return: Task, Upstream, Inputs, Artifact, Job, Result
options.py   what only some stages declare: CacheKey, Source, Section, Reuse, Output, Preflight
"""
