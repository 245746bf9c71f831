"""Read YAML as validated settings, and write settings as YAML.

source.py        data of a config, with the origin of each key
  yaml_source.py read a YAML file or a value of `--set`
validate.py      validate one section by its dataclass, with pydantic
lists.py         accept a single value in place of a list
unions.py        sections with a dataclass for each value of the key `kind`
rewrite.py       suggest corrections for a value of `--set`
settings.py      the whole config: load, override, resolve
overlap.py       refuse inputs that overlap the run's folder
describe.py      write the resolved config as commented YAML
schema.py        write the JSON Schema of a config, for editors
"""
