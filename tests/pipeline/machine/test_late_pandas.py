"""pyarrow works without pandas, and with pandas once a stage imports pandas."""

from __future__ import annotations

import subprocess
import sys

BEFORE = """
import sys
from pipeline.machine.late_pandas import import_pandas_late
import_pandas_late()
import pyarrow as pa
import numpy as np
assert pa.array(["a", None]).null_count == 1 and len(pa.array(np.arange(3))) == 3
assert len(pa.table([np.arange(3)], names=["a"]).to_pylist()) == 3
assert "pandas" not in sys.modules
"""


def _python(code: str) -> None:
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


def test_arrays_are_made_without_pandas() -> None:
    _python(BEFORE)


def test_a_later_import_of_pandas_is_noticed() -> None:
    # from a Series, pyarrow takes NaN as null: only where pyarrow knows pandas
    _python(BEFORE + "import pandas as pd\nassert pa.array(pd.Series([1.5, float('nan')])).null_count == 1")


def test_a_search_for_pandas_changes_nothing() -> None:
    _python(
        BEFORE + "import importlib.util\nassert importlib.util.find_spec('pandas')\n"
        "assert 'pandas' not in sys.modules\n"
        "import pandas as pd\nassert pa.array(pd.Series([1.5, float('nan')])).null_count == 1"
    )


def test_an_export_to_pandas_imports_pandas() -> None:
    _python(BEFORE + "assert pa.table({'a': [1]}).to_pandas().a.sum() == 1\nassert 'pandas' in sys.modules")


def test_imported_pandas_stays_imported() -> None:
    _python(
        "import sys\nimport pandas as pd\nfrom pipeline.machine.late_pandas import import_pandas_late\n"
        "import_pandas_late()\nimport pyarrow as pa\nassert sys.modules['pandas'] is pd\n"
        "assert pa.array(pd.Series([float('nan')])).null_count == 1"
    )
