"""How many booking commands a second, and how near that is to what the database itself can do.

    python -m loadtest.booking [--rounds 3] [--visits 40] [--technicians 16] [--json]

Three ways to do the same work, each on a fresh copy of one database, with fsync and synchronous_commit on, at one
technician and at many, in turns, so that a noisy machine is noisy to all of them; medians are told:

- `rest`: one serving process, with its relay and its log, driven over HTTP by technicians with no pause for thought:
  accept, depart, arrive, start, note, complete, each with an Idempotency-Key. Like for like with pgbench, nobody does
  meanwhile what follows from the commands;
- `rest and after`: the same, while a second process does that (subscribers, notifications, captures: some thirty
  statements for each command). Shown, and not judged: it says what one machine carries in all;
- `pgbench command`: PostgreSQL's own client (C, prepared statements) sends the statements that those commands sent,
  with the arguments that they had; it finds them in a table, by key;
- `journal` and `pgbench journal`: the write of each command alone, through asyncpg with the making of its rows, and by
  pgbench.

After each run the events are counted, so that nothing is measured that was not done. Starts its own PostgreSQL
(`app.bench_bed`, as a process) and its own server; stops both. Exits 1 where less is kept than we hold ourselves to.
"""

import argparse
import asyncio
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import uvloop

from loadtest.shapes import Json
from loadtest.technician_hands import Hands, Refused, connected

REST_RATIO = 0.4  # of pgbench, whole commands through REST
JOURNAL_RATIO = 0.7  # of pgbench, the journal through asyncpg
SCALES = 4.0  # from one technician to all; where the machine does not let pgbench grow so far, as far as that
TPS = re.compile(r"tps = ([0-9.]+) \(without initial connection time\)")
WAYS = ("rest", "rest and after", "pgbench command", "journal", "pgbench journal")
UP_WITHIN_S = 60.0


@dataclass(frozen=True, slots=True)
class Run:
    """One measured run: commands a second, and the commits that the database counted meanwhile."""

    rate: float
    commits: int


class ServerGone(Exception):
    """The server ended by itself."""


class Bed:
    """The other process, that has the databases."""

    def __init__(self, process: asyncio.subprocess.Process, about: Json) -> None:
        self._process = process
        self.about = about

    async def ask(self, what: str, **more: object) -> Json:
        """Ask for one thing and wait for its answer."""
        asked, answers = self._process.stdin, self._process.stdout
        if asked is None or answers is None:
            raise RuntimeError("the bed has no pipes")
        asked.write(json.dumps({"do": what, **more}).encode() + b"\n")
        return _said(await answers.readline())


@asynccontextmanager
async def bed_in(folder: Path, technicians: int, visits: int) -> AsyncIterator[Bed]:
    """Run the bed while the block does."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "app.bench_bed", "--data-dir", str(folder),
        "--technicians", str(technicians), "--visits", str(visits),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, limit=1 << 20,
    )  # fmt: skip
    try:
        if process.stdout is None:
            raise RuntimeError("the bed has no pipes")
        yield Bed(process, _said(await process.stdout.readline()))
    finally:
        if process.stdin is not None:
            process.stdin.close()
        await process.wait()


def _said(line: bytes) -> Json:
    if not line:
        raise SystemExit("the bed has gone: its words are above")
    return cast("Json", json.loads(line))


async def rest(bed: Bed, folder: Path, technicians: int, *, after: bool = False) -> Run:
    """Drive one serving process over HTTP."""
    copy = await bed.ask("fresh")
    port = 18000 + os.getpid() % 2000
    servers = [door := await _serve(bed, folder, copy, port, background=False)]
    if after:
        servers.append(await _serve(bed, folder, copy, port + 1, background=True))
    try:
        hands = await _hands(bed, door, port, technicians)
        began = time.perf_counter()
        await asyncio.gather(*(each.work(bed.about["steps"], bed.about["note"]) for each in hands))
        seconds = time.perf_counter() - began
        for each in hands:
            each.close()
    except (TimeoutError, ServerGone, Refused) as error:
        raise SystemExit(f"{error}\n{(folder / 'serve.log').read_text()[-3000:]}") from error
    finally:
        for server in servers:
            if server.returncode is None:
                server.terminate()
            await server.wait()
    return await _ended(bed, copy["database"], technicians, seconds)


async def _serve(
    bed: Bed, folder: Path, copy: Json, port: int, *, background: bool
) -> asyncio.subprocess.Process:
    """Start a serving process: the door that is measured, or the one that does what follows."""
    serving = {
        **os.environ,
        "DOORSTEP_DATABASE_URL": copy["url"],
        "DOORSTEP_DATA_DIR": str(folder / f"serving-{port}"),
        "DOORSTEP_SECRET_KEY": bed.about["secret_key"],
        "DOORSTEP_PORT": str(port),
        "DOORSTEP_BACKGROUND": str(background).lower(),
        "DOORSTEP_REQUESTS_PER_S": "1000000",
        "DOORSTEP_REQUESTS_BURST": "1000000",
        "DOORSTEP_SIGN_INS_BURST": "1000",
    }
    with (folder / "serve.log").open("ab") as log:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "app.cli", "serve", env=serving, stdout=log, stderr=log
        )


async def _hands(bed: Bed, server: asyncio.subprocess.Process, port: int, technicians: int) -> list[Hands]:
    """Sign the technicians in, one after the other, as soon as the server is up."""
    hands: list[Hands] = []
    async with asyncio.timeout(UP_WITHIN_S):
        for email in bed.about["technicians"][:technicians]:
            while (found := await connected(port)) is None:
                if server.returncode is not None:
                    raise ServerGone("the server has ended")
                await asyncio.sleep(0.1)
            await found.sign_in(email, bed.about["password"])
            await found.look()
            hands.append(found)
    return hands


async def pgbench(bed: Bed, folder: Path, technicians: int, script: str) -> Run:
    """Let pgbench do the same."""
    copy = await bed.ask("fresh")
    path = folder / f"{script}.sql"
    path.write_text(bed.about["scripts"][script])
    process = await asyncio.create_subprocess_exec(
        bed.about["pgbench"], "--no-vacuum", "--protocol=prepared", f"--client={technicians}",
        f"--jobs={min(2, technicians)}", f"--transactions={bed.about['commands']}", "--define=n=-1", f"--file={path}",
        env={**os.environ, **copy["login"]}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    out, complaints = await process.communicate()
    found = TPS.search(out.decode())
    if process.returncode != 0 or found is None:
        raise SystemExit(f"pgbench: {complaints.decode()}")
    commands = technicians * bed.about["commands"]
    return await _ended(bed, copy["database"], technicians, commands / float(found[1]))


async def journal(bed: Bed, technicians: int) -> Run:
    """Let the bed write through its journal."""
    done = await bed.ask("journal", technicians=technicians)
    return _run(bed, done, technicians, done["seconds"])


async def _ended(bed: Bed, database: str, technicians: int, seconds: float) -> Run:
    return _run(bed, await bed.ask("drop", database=database), technicians, seconds)


def _run(bed: Bed, done: Json, technicians: int, seconds: float) -> Run:
    commands = technicians * bed.about["commands"]
    if done["commands"] != commands:
        raise SystemExit(f"{done['commands']} commands were written instead of {commands}")
    return Run(commands / seconds, done["commits"])


async def measure(technicians: Sequence[int], visits: int, rounds: int) -> Json:
    """Run every way at every number of technicians, in turns; return medians, ratios and commits."""
    runs: dict[tuple[str, int], list[Run]] = {(way, n): [] for way in WAYS for n in technicians}
    with tempfile.TemporaryDirectory(prefix="doorstep-bench-") as name:
        folder = Path(name)
        async with bed_in(folder / "bed", max(technicians), visits) as bed:
            for _ in range(rounds):
                for n in technicians:
                    runs["rest", n].append(await rest(bed, folder, n))
                    runs["rest and after", n].append(await rest(bed, folder, n, after=True))
                    runs["pgbench command", n].append(await pgbench(bed, folder, n, "command"))
                    runs["journal", n].append(await journal(bed, n))
                    runs["pgbench journal", n].append(await pgbench(bed, folder, n, "journal"))
            settings = bed.about["settings"]
    rate = {key: statistics.median(run.rate for run in done) for key, done in runs.items()}
    fewest, most = min(technicians), max(technicians)
    return {
        "settings": settings,
        "rounds": rounds,
        "rows": [
            {
                "way": way,
                "technicians": n,
                "per_s": round(rate[way, n], 1),
                "lowest": round(min(run.rate for run in done), 1),
                "highest": round(max(run.rate for run in done), 1),
                "commits": round(statistics.median(run.commits for run in done)),
            }
            for (way, n), done in runs.items()
        ],
        "ratios": {
            str(n): {
                "rest": round(rate["rest", n] / rate["pgbench command", n], 3),
                "journal": round(rate["journal", n] / rate["pgbench journal", n], 3),
            }
            for n in technicians
        },
        "scales": {way: round(rate[way, most] / rate[way, fewest], 2) for way in WAYS},
    }


def shown(told: Json) -> str:
    """Return the table."""
    lines = [f"{name} = {value}" for name, value in sorted(cast("dict[str, str]", told["settings"]).items())]
    lines += ["", f"{'':18}{'technicians':>12}{'commands/s':>12}{'lowest':>9}{'highest':>9}{'commits':>9}"]
    lines += [
        f"{row['way']:18}{row['technicians']:>12}{row['per_s']:>12}{row['lowest']:>9}{row['highest']:>9}{row['commits']:>9}"
        for row in cast("list[Json]", told["rows"])
    ]
    lines.append("")
    for n, ratio in cast("dict[str, Json]", told["ratios"]).items():
        lines.append(f"at {n:>2}: REST is {ratio['rest']} of pgbench (at least {REST_RATIO}), "
                     f"the journal {ratio['journal']} (at least {JOURNAL_RATIO})")  # fmt: skip
    scales = cast("dict[str, float]", told["scales"])
    lines.append("from one technician to all: " + ", ".join(f"{way} {by} times" for way, by in scales.items())
                 + f" (REST at least {SCALES}, or as pgbench does here)")  # fmt: skip
    return "\n".join(lines)


def kept(told: Json) -> bool:
    """Tell whether what we hold ourselves to was kept."""
    ratios = cast("dict[str, dict[str, float]]", told["ratios"]).values()
    near = all(r["rest"] >= REST_RATIO and r["journal"] >= JOURNAL_RATIO for r in ratios)
    scales = cast("dict[str, float]", told["scales"])
    return near and scales["rest"] >= min(SCALES, scales["pgbench command"])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m loadtest.booking",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--technicians", type=int, default=16, help="at once, beside one alone")
    parser.add_argument("--visits", type=int, default=40, help="of each technician, six commands each")
    parser.add_argument("--rounds", type=int, default=3, help="of everything, in turns")
    parser.add_argument("--json", action="store_true", help="for programs")
    asked = parser.parse_args()
    told = uvloop.run(measure(sorted({1, asked.technicians}), asked.visits, asked.rounds))
    print(json.dumps(told) if asked.json else shown(told))  # noqa: T201 - this program's output
    sys.exit(0 if kept(told) else 1)


if __name__ == "__main__":
    main()
