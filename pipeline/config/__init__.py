"""From YAML to validated settings, and back.

yaml_source.py   YAML as data that remembers the line of each key
validate.py      one section against its dataclass, by pydantic
settings.py      the whole config: load, override, resolve
describe.py      the resolved config as commented YAML
schema.py        the JSON Schema of a config, for editors
"""
