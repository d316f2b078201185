"""The wheel that the image installs: it holds everything that the packages read at run time."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("app", "domain", "geo", "loadtest", "pages", "realtime", "rest", "services", "storage")
NEEDED_TO_BUILD = ("pyproject.toml", "README.md", "LICENSE", "NOTICE")


def test_the_wheel_is_whole(tmp_path: Path) -> None:
    """Every file of a package that git knows is in the wheel, but for sources of the pages and words for readers."""
    source = tmp_path / "source"
    tracked = subprocess.run(
        ["git", "ls-files", "--", *PACKAGES, *NEEDED_TO_BUILD],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    for name in tracked:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, source / name)
    shutil.copytree(ROOT / "pages" / "dist", source / "pages" / "dist")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", tmp_path, source],
        check=True, capture_output=True,
    )  # fmt: skip
    inside = set(zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist())
    wanted = {
        name
        for name in tracked
        if name.startswith(tuple(f"{package}/" for package in PACKAGES)) and not name.endswith(".md")
    }
    wanted = {name for name in wanted if not name.startswith("pages/") or name.endswith(".py")}
    assert wanted - inside == set()
    assert "pages/dist/dispatch.html" in inside
