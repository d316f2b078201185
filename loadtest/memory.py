"""How much memory a running demo takes: each of its processes by its proportional share (PSS), nothing counted twice.

`python -m loadtest.memory PID` takes the process id of `doorstep demo`, adds its children and the PostgreSQL that was
started with it (the one nearest in time), and prints megabytes by kind. Linux alone knows PSS.
"""

import sys
from collections import Counter
from pathlib import Path

PROC = Path("/proc")


def pss_mb(pid: int) -> float:
    """Megabytes of a process, shared pages divided by those who share them; 0 for one that is gone or not ours."""
    try:
        for line in (PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    except (OSError, ValueError):
        return 0.0
    return 0.0


def parents() -> dict[int, int]:
    """Return {process: its parent} of this machine, now."""
    found: dict[int, int] = {}
    for folder in PROC.iterdir():
        if folder.name.isdigit():
            try:
                found[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, ValueError, IndexError):
                continue
    return found


def family(pid: int) -> list[int]:
    """Return a process and all that descend from it."""
    tree = parents()
    known = [pid]
    for one in known:
        known += [child for child, parent in tree.items() if parent == one and child not in known]
    return known


def started(pid: int) -> int:
    """Return when a process started, in clock ticks since the machine did."""
    return int((PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[19])


def kind_of(pid: int) -> str:
    """Name what a process is for."""
    line = (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    if "postgres" in line:
        return "PostgreSQL"
    return "phones and customers" if "loadtest.city" in line else "server"


def main() -> None:
    """Measure and print."""
    if len(sys.argv) != 2 or not sys.argv[1].isdigit():  # a command of one argument needs no parser
        sys.exit("usage: python -m loadtest.memory PID")
    pid = int(sys.argv[1])
    servers = [
        one for one, parent in parents().items() if parent in {1, pid} and kind_of(one) == "PostgreSQL"
    ]
    its_own = min(servers, key=lambda one: abs(started(one) - started(pid)), default=pid)
    sizes: Counter[str] = Counter()
    for one in {*family(pid), *family(its_own)}:
        sizes[kind_of(one)] += round(pss_mb(one))
    for kind, size in sizes.most_common():
        print(f"{size:5d} MB  {kind}")  # noqa: T201 - a command's answer
    print(f"{sum(sizes.values()):5d} MB  together")  # noqa: T201 - a command's answer


if __name__ == "__main__":
    main()
