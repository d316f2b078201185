"""SQL stands in storage, beside its function, and nowhere else that serves."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SQL = re.compile(r"\b(FROM|INTO|UPDATE|JOIN)\s+(app|audit|metrics|telemetry)\.\w|pg_current_snapshot")
SDK = re.compile(r"^\s*(from|import) opentelemetry\.(sdk|exporter)", re.MULTILINE)


@pytest.mark.parametrize("floor", ["domain", "geo", "services", "rest", "realtime", "pages", "loadtest"])
def test_sql_stands_in_storage(floor: str) -> None:
    """No other floor names a table."""
    named = [path.name for path in (ROOT / floor).glob("*.py") if SQL.search(path.read_text())]
    assert named == []


def test_the_tracing_sdk_stands_in_the_composition_root() -> None:
    """What traces are sent with is known to `app` alone; everybody else opens spans through `storage/tracing.py`."""
    named = {
        path.relative_to(ROOT).parts[0]
        for floor in ("app", "rest", "realtime", "pages", "services", "storage", "domain", "geo", "loadtest")
        for path in (ROOT / floor).rglob("*.py")
        if "node_modules" not in path.parts and SDK.search(path.read_text())
    }
    assert named == {"app"}
