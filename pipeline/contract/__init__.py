"""The contract of a stage, in parts; stages import from `pipeline.stage`.

work.py      arguments and results of a stage's functions: Task, Upstream, Inputs, Artifact, Job, Result
options.py   optional declarations of a stage: CacheKey, Source, Section, Reuse, Output, Preflight
"""
