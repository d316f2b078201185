"""Any folder of traces in the format can be read, described and driven."""

import gzip
from pathlib import Path

import pytest

from loadtest.learn_noise import measure
from loadtest.traces import TracesUnreadable, clusters, describe, read_folder

HEADER = "trip_id,ts_ms,lat,lon,accuracy_m,speed_mps,heading_deg\n"


def rows(trip: str, lat: float, count: int = 5) -> str:
    """So many fixes of one trip, northwards."""
    return "".join(f"{trip},{1_000 * i},{lat + i * 0.001:.6f},-2.9,,,{i}\n" for i in range(count))


def test_trips_come_sorted_without_repeats_and_without_rubbish(tmp_path: Path) -> None:
    """Rows out of order are put in order; a repeated time, a broken row and a lone fix are left out."""
    text = (
        HEADER
        + "a,2000,53.1,-2.9,5,1.5,\na,1000,53.0,-2.9,,,\na,1000,50.0,-2.9,,,\na,x,y,z,,,\nlone,1,1,1,,,\n"
    )
    (tmp_path / "Bus 14.csv").write_text(text)
    (trip,) = read_folder(tmp_path)
    assert [fix.t_ms for fix in trip.fixes] == [1000, 2000]
    assert trip.source == "bus-14"
    assert trip.start == (53.0, -2.9)
    assert (trip.fixes[1].acc_m, trip.fixes[1].spd_mps, trip.fixes[1].hdg_deg) == (5.0, 1.5, None)


def test_gzipped_files_are_read_too(tmp_path: Path) -> None:
    """`.csv.gz` beside `.csv`, in the order of their names."""
    with gzip.open(tmp_path / "b.csv.gz", "wt") as file:
        file.write(HEADER + rows("t", 53.0))
    (tmp_path / "a.csv").write_text(HEADER + rows("t", 53.0))
    assert [trip.source for trip in read_folder(tmp_path)] == ["a", "b"]


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [("x.txt", "", "no .csv"), ("x.csv", "a,b\n1,2\n", "lacks"), ("x.csv", HEADER, "no file")],
)
def test_a_folder_without_trips_is_refused_with_a_sentence(
    tmp_path: Path, name: str, text: str, says: str
) -> None:
    """No file, wrong columns, no trips: each is said plainly."""
    (tmp_path / name).write_text(text)
    with pytest.raises(TracesUnreadable, match=says):
        read_folder(tmp_path)


def test_far_apart_trips_of_one_source_get_areas_of_their_own(tmp_path: Path) -> None:
    """Two cities in one file are two service areas with people of their own, none shared."""
    (tmp_path / "cars.csv").write_text(
        HEADER + rows("north", 55.0) + rows("south", 51.0) + rows("near", 51.1)
    )
    assert {name: len(trips) for name, trips in clusters(read_folder(tmp_path)).items()} == {
        "cars": 1,
        "cars-2": 2,
    }
    areas = describe(tmp_path)["areas"]
    emails = [person["email"] for area in areas for person in [*area["technicians"], *area["customers"]]]
    assert len(emails) == len(set(emails)) == 6
    west, south, east, north = areas[0]["bbox"]
    assert west < -2.9 < east
    assert south < 55.0
    assert north > 55.004


def test_a_description_is_the_same_each_time(tmp_path: Path) -> None:
    """The server's seed and the phones read the same folder and must agree."""
    (tmp_path / "cars.csv").write_text(HEADER + rows("a", 55.0) + rows("b", 55.1))
    assert describe(tmp_path) == describe(tmp_path)


def test_noise_is_measured_from_trips(tmp_path: Path) -> None:
    """Intervals, jumps and repeats are counted over all fixes."""
    far = "t,9000,54.0,-2.9,,,\nt,10000,54.0,-2.9,,,\n"
    (tmp_path / "cars.csv").write_text(HEADER + rows("t", 53.0) + far)
    learned = measure(read_folder(tmp_path))
    assert learned["fixes"] == 7
    assert learned["jumps_per_1000"] == 833.33
    assert learned["repeated_share"] == 0.167
