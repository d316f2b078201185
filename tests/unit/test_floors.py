"""SQL stands in storage, beside its function, and nowhere else that serves."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SQL = re.compile(r"\b(FROM|INTO|UPDATE|JOIN)\s+(app|audit|metrics|telemetry)\.\w|pg_current_snapshot")


@pytest.mark.parametrize("floor", ["domain", "geo", "services", "rest", "realtime", "pages", "loadtest"])
def test_sql_stands_in_storage(floor: str) -> None:
    """No other floor names a table."""
    named = [path.name for path in (ROOT / floor).glob("*.py") if SQL.search(path.read_text())]
    assert named == []
