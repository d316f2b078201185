"""Recorded trips, read from any folder of CSV files, to be driven again where they were driven.

Format: `trip_id,ts_ms,lat,lon,accuracy_m,speed_mps,heading_deg`, blank where unknown, `.csv` or `.csv.gz`; each
file is one source. `describe` says which areas and people a folder needs, so that whoever seeds the server and
whoever drives the phones make the same list from the same folder and nothing else has to be agreed.
"""

import csv
import gzip
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from geo.distance import plane_m
from loadtest.shapes import Json, LatLon

MAX_TRIPS = 400  # of one file; further trips are left unread so that a huge folder cannot fill the memory
MAX_FIXES = 20_000  # of one trip; the rest of it is left unread
AREA_REACH_M = 60_000.0  # trips of one source further apart than this get an area each
PAD_DEG = 0.01


class TracesUnreadable(Exception):
    """No file of the folder holds a trip in the format; the message names folder and reason."""


@dataclass(frozen=True, slots=True)
class TraceFix:
    """One recorded fix; None where the source did not say."""

    t_ms: int
    lat: float
    lon: float
    acc_m: float | None
    spd_mps: float | None
    hdg_deg: float | None


@dataclass(frozen=True, slots=True)
class Trip:
    """One recorded trip: at least two fixes, times strictly ascending."""

    trip_id: str
    source: str
    fixes: tuple[TraceFix, ...]

    @property
    def start(self) -> LatLon:
        """Where it began."""
        return self.fixes[0].lat, self.fixes[0].lon

    @property
    def end(self) -> LatLon:
        """Where it ended: the address of the booking that it is driven to."""
        return self.fixes[-1].lat, self.fixes[-1].lon

    @property
    def duration_s(self) -> float:
        """First fix to last."""
        return (self.fixes[-1].t_ms - self.fixes[0].t_ms) / 1000


def read_folder(folder: Path) -> list[Trip]:
    """Every trip of every file, files by name, trips in the order of the file. Raises `TracesUnreadable`."""
    files = sorted(path for path in folder.glob("*.csv*") if path.name.endswith((".csv", ".csv.gz")))
    if not files:
        raise TracesUnreadable(f"{folder} holds no .csv or .csv.gz file")
    trips = [trip for path in files for trip in read_file(path)]
    if not trips:
        raise TracesUnreadable(f"no file of {folder} holds a trip of at least two fixes")
    return trips


def read_file(path: Path) -> list[Trip]:
    """The trips of one file; rows that cannot be read are skipped. Raises `TracesUnreadable` without columns."""
    rows: dict[str, dict[int, TraceFix]] = {}
    for trip_id, fix in _rows(path):
        if trip_id not in rows and len(rows) >= MAX_TRIPS:
            continue
        fixes = rows.setdefault(trip_id, {})
        if len(fixes) < MAX_FIXES:
            fixes.setdefault(fix.t_ms, fix)
    source = re.sub(r"[^a-z0-9]+", "-", path.name.split(".", 1)[0].lower()).strip("-") or "traces"
    return [
        Trip(trip_id, source, tuple(fixes[t] for t in sorted(fixes)))
        for trip_id, fixes in rows.items()
        if len(fixes) >= 2
    ]


def describe(folder: Path) -> Json:
    """The areas, technicians and customers that the trips of a folder need. Raises `TracesUnreadable`."""
    areas: list[Json] = []
    people = 0
    for name, trips in clusters(read_folder(folder)).items():
        lats = [fix.lat for trip in trips for fix in trip.fixes]
        lons = [fix.lon for trip in trips for fix in trip.fixes]
        box = [min(lons) - PAD_DEG, min(lats) - PAD_DEG, max(lons) + PAD_DEG, max(lats) + PAD_DEG]
        crew = min(12, len(trips))
        numbers = range(people + 1, people + crew + 1)
        people += crew
        areas.append(
            {
                "name": name,
                "bbox": [round(side, 5) for side in box],
                "jurisdiction": f"ZZ-{name.upper()}",
                "time_zone": "UTC",
                "trips": len(trips),
                "technicians": [
                    {
                        "email": f"tech-trace-{number:03d}@sim.doorstep.example",
                        "display_name": f"Trace {number:03d}",
                        "lat": trip.start[0],
                        "lon": trip.start[1],
                        "radius_m": 60_000,
                    }
                    for number, trip in zip(numbers, trips, strict=False)
                ],
                "customers": [
                    {
                        "email": f"cust-trace-{number:03d}@sim.doorstep.example",
                        "display_name": f"Neighbour {number:03d}",
                        "lat": trip.end[0],
                        "lon": trip.end[1],
                    }
                    for number, trip in zip(numbers, trips, strict=False)
                ],
            }
        )
    return {"version": 1, "areas": areas}


def clusters(trips: list[Trip]) -> dict[str, list[Trip]]:
    """Trips by area name: one area a source, more when its trips lie far apart."""
    found: dict[str, list[Trip]] = {}
    counts: dict[str, int] = {}
    for trip in trips:
        mine = [name for name, members in found.items() if members[0].source == trip.source]
        name = next((name for name in mine if apart_m(found[name][0].end, trip.end) < AREA_REACH_M), None)
        if name is None:
            counts[trip.source] = counts.get(trip.source, 0) + 1
            count = counts[trip.source]
            name = trip.source if count == 1 else f"{trip.source}-{count}"
            found[name] = []
        found[name].append(trip)
    return found


def apart_m(a: LatLon, b: LatLon) -> float:
    """Metres between two places of one city."""
    return plane_m(*a, *b)


def _rows(path: Path) -> Iterator[tuple[str, TraceFix]]:
    with gzip.open(path, "rt", newline="") if path.suffix == ".gz" else path.open(newline="") as lines:
        reader = csv.DictReader(lines)
        missing = {"trip_id", "ts_ms", "lat", "lon"} - set(reader.fieldnames or ())
        if missing:
            raise TracesUnreadable(f"{path} lacks the column(s) {', '.join(sorted(missing))}")
        for row in reader:
            fix = _fix(row)
            if fix is not None and row["trip_id"]:
                yield row["trip_id"], fix


def _fix(row: dict[str, str]) -> TraceFix | None:
    try:
        t_ms, lat, lon = int(float(row["ts_ms"])), float(row["lat"]), float(row["lon"])
        known = [
            float(row[name]) if row.get(name) else None for name in ("accuracy_m", "speed_mps", "heading_deg")
        ]
    except (TypeError, ValueError):
        return None
    if not (-90 <= lat <= 90 and -180 <= lon <= 180):
        return None
    return TraceFix(t_ms, lat, lon, *known)


if __name__ == "__main__":
    json.dump(describe(Path(sys.argv[1])), sys.stdout, indent=2)
