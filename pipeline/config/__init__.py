"""Read YAML as validated settings, and write settings as YAML.

source.py        data that remembers the origin of each key
  yaml_source.py YAML as such data
validate.py      one section against its dataclass, by pydantic
lists.py         accept a single value where a list is expected
unions.py        sections with a dataclass for each value of the key `kind`
rewrite.py       corrections of a value of `--set` that YAML reads as another type
settings.py      the whole config: load, override, resolve
overlap.py       inputs that overlap the run's folder
describe.py      the resolved config as commented YAML
schema.py        the JSON Schema of a config, for editors
"""
