"""The commands that measure the geometry on traces run on any folder of them."""

from pathlib import Path

import pytest

from app.city import BOX, TRACES, prepare_roads
from loadtest import bench_geo, fit_eta, judge_traces, try_eta


def test_fitting_prints_errors_and_constants(capsys: pytest.CaptureFixture[str]) -> None:
    """Each source has its lines, and every constant of the formula one."""
    fit_eta.main(TRACES)
    out = capsys.readouterr().out
    assert "liverpoolbus fitted" in out
    assert "D: progress" in out


def test_judging_prints_the_refused_share(capsys: pytest.CaptureFixture[str]) -> None:
    """The bus is refused nothing."""
    judge_traces.main(TRACES)
    assert "liverpoolbus: 698 fixes, 0.000% refused" in capsys.readouterr().out


def test_trying_and_timing_over_streets(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both print a line for each of their questions."""
    streets = prepare_roads(tmp_path)
    monkeypatch.setattr(try_eta, "_DRIVES", 5)
    try_eta.main(streets, BOX)
    bench_geo.main(streets)
    out = capsys.readouterr().out
    assert out.count("median error") == 3
    assert "track + arrival of one fix" in out
    assert "estimate by route" in out
