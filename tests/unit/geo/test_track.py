"""A phone's fixes, good and bad: what each becomes, and where the marker then stands."""

import json
import random
import statistics
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.city import TRACES
from geo.distance import destination, plane_m
from geo.track import Fix, Reason, Track, Verdict, judge
from loadtest.fit_eta import read_trips

T0 = 1_790_000_000_000
HOME = (39.2840, -76.5700)


def drive(count: int, *, every_s: float = 5.0, mps: float = 12.0, start_ms: int = T0) -> list[Fix]:
    """A drive due east at a steady speed, numbered from 1."""
    return [
        Fix(
            i + 1, start_ms + round(i * every_s * 1000), *destination(*HOME, 90, i * every_s * mps), acc_m=8.0
        )
        for i in range(count)
    ]


def run(fixes: list[Fix], *, opened_ms: int = T0, delay_ms: int = 200) -> tuple[list[Verdict], Track]:
    """All verdicts, and the track after fixes that each arrived a moment after they were made."""
    track, verdicts = Track.opened(opened_ms), []
    for fix in fixes:
        verdict, track = judge(track, fix, fix.t_ms + delay_ms)
        verdicts.append(verdict)
    return verdicts, track


def reasons(verdicts: list[Verdict]) -> list[Reason | None]:
    """Only the reasons."""
    return [verdict.reason for verdict in verdicts]


def off_m(track: Track, fix: Fix) -> float:
    """Metres between the marker and a true place."""
    assert track.position is not None
    return plane_m(track.position.lat, track.position.lon, fix.lat, fix.lon)


def moved(fix: Fix, bearing: float, metres: float) -> Fix:
    """The same fix somewhere else."""
    lat, lon = destination(fix.lat, fix.lon, bearing, metres)
    return Fix(fix.seq, fix.t_ms, lat, lon, fix.acc_m, fix.spd_mps, fix.hdg_deg, fix.battery)


def test_a_clean_drive_is_live_throughout() -> None:
    """Every fix is live, and the marker ends at the phone with its speed and heading."""
    fixes = drive(60)
    verdicts, track = run(fixes)
    assert {verdict.kind for verdict in verdicts} == {"live"}
    assert off_m(track, fixes[-1]) < 3
    assert track.position is not None
    assert track.position.spd_mps == pytest.approx(12, abs=0.5)
    assert track.position.hdg_deg == pytest.approx(90, abs=2)
    assert track.position.t_ms == fixes[-1].t_ms
    assert track.acked_seq == 60
    assert track.trailing_mps() == pytest.approx(12, rel=0.1)
    assert track.still_s() < 10


def test_sent_twice_is_counted_once() -> None:
    """A repeated fix is a duplicate and changes nothing."""
    fixes = drive(10)
    _, track = run(fixes)
    verdict, after = judge(track, fixes[4], T0 + 60_000)
    assert verdict.kind == "duplicate"
    assert after == track


def test_a_late_fix_never_moves_the_marker() -> None:
    """An older fix is taken as late, and the position stays the newest one's."""
    fixes = drive(20)
    _, track = run([*fixes[:8], *fixes[12:]])
    before = track.position
    for fix in fixes[8:12]:
        verdict, track = judge(track, fix, fixes[-1].t_ms + 1000)
        assert verdict.kind == "late"
    assert track.position == before
    assert track.acked_seq == 20


def test_a_spike_is_refused_and_the_drive_goes_on() -> None:
    """One fix two kilometres away is a teleport; the marker does not notice."""
    fixes = drive(20)
    fixes[10] = moved(fixes[10], 0, 2000)
    verdicts, track = run(fixes)
    assert reasons(verdicts) == [None] * 10 + ["teleport"] + [None] * 9
    assert off_m(track, fixes[-1]) < 5


def test_refused_fixes_that_agree_are_believed() -> None:
    """After a wrong first fix the true drive re-anchors within three fixes; nobody is locked out."""
    fixes = drive(12)
    fixes[0] = moved(fixes[0], 180, 5000)
    verdicts, track = run(fixes)
    assert reasons(verdicts)[:4] == [None, "teleport", "teleport", None]
    assert {verdict.kind for verdict in verdicts[3:]} == {"live"}
    assert off_m(track, fixes[-1]) < 10


def test_refused_fixes_that_disagree_are_not_believed() -> None:
    """Spikes in different directions never become an anchor, however many come."""
    fixes = drive(30)
    spikes = [moved(fix, 97.0 * fix.seq, 9000) if fix.seq > 10 else fix for fix in fixes]
    verdicts, track = run(spikes)
    assert set(reasons(verdicts)[10:]) == {"teleport"}
    assert off_m(track, fixes[9]) < 5


def test_a_frozen_phone_comes_back() -> None:
    """After minutes of repeating one place, the true place is live again within three fixes."""
    fixes = drive(60, every_s=3)
    frozen = [moved(fixes[9], 0, 0) if 10 <= i < 40 else fix for i, fix in enumerate(fixes)]
    frozen = [Fix(fix.seq, T0 + i * 3000, fix.lat, fix.lon, 8.0) for i, fix in enumerate(frozen)]
    frozen = [Fix(i + 1, fix.t_ms, fix.lat, fix.lon, 8.0) for i, fix in enumerate(frozen)]
    verdicts, track = run(frozen)
    assert [verdict.kind for verdict in verdicts[43:]] == ["live"] * 17
    assert off_m(track, fixes[-1]) < 10


def test_an_hour_of_silence_locks_nobody_out() -> None:
    """After a gap the next fix is live, wherever it is."""
    before = drive(10)
    after = [
        Fix(fix.seq + 10, fix.t_ms + 3_600_000, *destination(fix.lat, fix.lon, 90, 40_000))
        for fix in drive(5)
    ]
    verdicts, track = run([*before, *after])
    assert {verdict.kind for verdict in verdicts} == {"live"}
    assert off_m(track, after[-1]) < 10


@pytest.mark.parametrize("minutes", [10, -10])
def test_a_wrong_clock_is_learned(minutes: int) -> None:
    """A phone whose clock is ten minutes off is live after a few fixes, with positions in our time."""
    fixes = drive(30)
    track, kinds = Track.opened(T0), []
    for fix in fixes:
        wrong = Fix(fix.seq, fix.t_ms + minutes * 60_000, fix.lat, fix.lon, fix.acc_m)
        verdict, track = judge(track, wrong, fix.t_ms + 250)
        kinds.append(verdict.kind)
    assert kinds[4:] == ["live"] * 26
    assert track.position is not None
    assert abs(track.position.t_ms - fixes[-1].t_ms) < 2000


def test_a_buffer_is_no_wrong_clock() -> None:
    """Fixes of a tunnel that arrive at once keep their own times."""
    fixes = drive(120)
    track = Track.opened(T0)
    for fix in fixes[:20]:
        _, track = judge(track, fix, fix.t_ms + 200)
    for fix in fixes[20:]:
        verdict, track = judge(track, fix, fixes[-1].t_ms + 300)
        assert verdict.kind == "live"
    assert track.clock.offset_ms == 0
    assert track.position is not None
    assert track.position.t_ms == fixes[-1].t_ms


def test_a_shuffled_buffer_counts_once_and_ends_right() -> None:
    """Eight hours of fixes in any order are all handled, none twice, and the marker is the newest."""
    fixes = drive(5760, mps=0.5)
    shuffled = fixes[:]
    random.Random(5).shuffle(shuffled)
    track, kinds = Track.opened(T0), []
    for fix in (*shuffled, *shuffled[:100]):
        verdict, track = judge(track, fix, fixes[-1].t_ms + 500)
        kinds.append(verdict.kind)
    assert kinds.count("duplicate") == 100
    assert kinds.count("rejected") == 0
    assert track.acked_seq == 5760
    assert off_m(track, fixes[-1]) < 15


def test_times_outside_the_session() -> None:
    """A fix from the future, or from well before the session, is refused with its reason."""
    track = Track.opened(T0)
    future, track = judge(track, Fix(1, T0 + 60_000, *HOME), T0 + 1000)
    before, track = judge(track, Fix(2, T0 - 60_000, *HOME), T0 + 1000)
    assert (future.reason, before.reason) == ("future", "before_session")
    assert track.position is None
    assert track.acked_seq == 2


@pytest.mark.parametrize(
    "fix",
    [
        Fix(1, T0, float("nan"), 0.0),
        Fix(1, T0, 91.0, 0.0),
        Fix(1, T0, 0.0, 180.5),
        Fix(-1, T0, 0.0, 0.0),
        Fix(1, 0, 0.0, 0.0),
        Fix(1, T0, 0.0, 0.0, acc_m=float("inf")),
        Fix(1, T0, 0.0, 0.0, acc_m=-1.0),
    ],
)
def test_what_no_phone_can_mean_is_invalid(fix: Fix) -> None:
    """Impossible numbers are refused and leave no trace."""
    verdict, track = judge(Track.opened(T0), fix, T0)
    assert verdict.reason == "invalid"
    assert track == Track.opened(T0)


def test_a_vague_fix_is_refused_only_while_better_ones_come() -> None:
    """800 m of accuracy is too vague five seconds after a good fix, and welcome after a minute without any."""
    fixes = drive(5)
    _, track = run(fixes)
    soon = Fix(6, fixes[-1].t_ms + 5_000, *HOME, acc_m=800)
    later = Fix(7, fixes[-1].t_ms + 60_000, *HOME, acc_m=800)
    verdict, track = judge(track, soon, soon.t_ms)
    assert verdict.reason == "inaccurate"
    verdict, track = judge(track, later, later.t_ms)
    assert verdict.kind == "live"


def test_a_liar_is_trusted_less() -> None:
    """A jump of 120 m that claims 2 m of accuracy drags the marker by less than a third of it."""
    still = [Fix(i + 1, T0 + i * 3000, *HOME, acc_m=5.0) for i in range(30)]
    _, track = run(still)
    lie = Fix(31, T0 + 90_000, *destination(*HOME, 45, 120), acc_m=2.0)
    _, track = judge(track, lie, lie.t_ms + 200)
    assert off_m(track, still[-1]) < 40


def test_a_parked_phone_stands_still() -> None:
    """Jitter of a parked phone neither adds way nor ends its stillness, and the heading stays."""
    rnd = random.Random(1)
    arriving = drive(20)
    home = (arriving[-1].lat, arriving[-1].lon)
    parked = [
        Fix(
            21 + i, T0 + 100_000 + i * 5000, *destination(*home, rnd.uniform(0, 360), rnd.uniform(0, 9)), 10.0
        )
        for i in range(120)
    ]
    _, track = run([*arriving, *parked])
    assert track.still_s() > 400
    assert track.trailing_mps() == pytest.approx(0, abs=0.15)
    assert track.position is not None
    assert track.position.hdg_deg is not None


def test_the_phones_own_speed_is_heard() -> None:
    """A phone that says that it stands is not carried on by its past speed."""
    fixes = drive(20)
    _, without = run([*fixes, Fix(21, fixes[-1].t_ms + 5000, fixes[-1].lat, fixes[-1].lon, 30.0)])
    _, told = run([*fixes, Fix(21, fixes[-1].t_ms + 5000, fixes[-1].lat, fixes[-1].lon, 30.0, spd_mps=0.0)])
    assert told.position is not None
    assert without.position is not None
    assert told.position.spd_mps < without.position.spd_mps


def test_another_device_counts_anew() -> None:
    """After a takeover numbers begin again, and the marker stays where it was."""
    fixes = drive(20)
    _, track = run(fixes[:10])
    taken = track.taken_over()
    assert taken.position == track.position
    verdict, taken = judge(taken, Fix(1, fixes[10].t_ms, fixes[10].lat, fixes[10].lon), fixes[10].t_ms + 100)
    assert verdict.kind == "live"
    assert taken.acked_seq == 1


def test_across_the_antimeridian() -> None:
    """A drive over the 180th meridian is one drive."""
    fixes = [Fix(i + 1, T0 + i * 5000, *destination(-16.8, 179.995, 90, i * 60.0), 8.0) for i in range(40)]
    verdicts, track = run(fixes)
    assert {verdict.kind for verdict in verdicts} == {"live"}
    assert off_m(track, fixes[-1]) < 5


def test_a_session_is_small() -> None:
    """What the next owner gets is well under 4 KB, and goes on just as the old owner would."""
    fixes = drive(400)
    _, track = run(fixes[:390])
    text = json.dumps(track.to_snapshot())
    assert len(text) < 2000
    restored = Track.from_snapshot(json.loads(text))
    assert restored == track
    for fix in fixes[390:]:
        assert judge(restored, fix, fix.t_ms) == judge(track, fix, fix.t_ms)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32), st.floats(0.05, 0.4))
def test_no_accepted_teleport_and_no_starvation(seed: int, share: float) -> None:
    """Of a drive with any share of spikes none is followed, and the honest fixes keep the marker near the truth.

    Each spike lies farther off than a car drives in a run of them, and another way than the one before it: three that
    agree for a while are what a moved phone looks like, and nobody can tell them from one.
    """
    rnd = random.Random(seed)
    truth = drive(80)
    sent, bearing = truth[:1], 0.0
    for fix in truth[1:]:
        bearing += rnd.uniform(90, 270)
        spiked = rnd.random() < share
        sent.append(moved(fix, bearing % 360, rnd.uniform(5000, 9000)) if spiked else fix)
    track, worst = Track.opened(T0), 0.0
    for fix, true in zip(sent, truth, strict=True):
        verdict, track = judge(track, fix, fix.t_ms + 200)
        if fix != true:
            assert verdict.reason == "teleport"
        else:
            assert verdict.kind == "live"
            worst = max(worst, off_m(track, true))
    assert worst < 60


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_nothing_that_a_phone_sends_breaks_the_track(data: st.DataObject) -> None:
    """Any fixes in any order give verdicts, a marker on earth, and a time that never goes back."""
    number = st.floats(allow_nan=True, allow_infinity=True)
    fix = st.builds(
        Fix,
        seq=st.integers(-5, 200),
        t_ms=st.integers(T0 - 10**7, T0 + 10**7),
        lat=number | st.floats(-90, 90),
        lon=number | st.floats(-180, 180),
        acc_m=st.none() | number | st.floats(0, 5000),
        spd_mps=st.none() | number | st.floats(0, 60),
        hdg_deg=st.none() | number | st.floats(0, 360),
    )
    track, newest = Track.opened(T0), 0
    for sent in data.draw(st.lists(fix, max_size=40)):
        verdict, track = judge(track, sent, T0 + data.draw(st.integers(0, 10**7)))
        assert (verdict.reason is not None) == (verdict.kind == "rejected")
        if track.position is not None:
            assert -91 <= track.position.lat <= 91
            assert -180 <= track.position.lon <= 180
            assert track.position.spd_mps >= 0
            assert track.position.t_ms >= newest
            newest = track.position.t_ms
    assert Track.from_snapshot(json.loads(json.dumps(track.to_snapshot()))) == track


def test_real_trips_are_taken_whole() -> None:
    """The bus of the demo city's traces loses no fix, and its marker keeps to what it said."""
    for _, _, fixes in read_trips(TRACES):
        track = Track.opened(fixes[0].t_ms)
        for fix in fixes:
            verdict, track = judge(track, fix, fix.t_ms + 500)
            assert verdict.kind == "live"
            assert off_m(track, fix) < 40


def test_the_marker_is_smoother_than_a_noisy_phone() -> None:
    """With 10 m of jitter at 3 s, the marker is nearer to the truth than the fixes, and its steps are more even."""
    rnd = random.Random(3)
    truth = drive(400, every_s=3)
    noise = [
        destination(*destination(f.lat, f.lon, 0, rnd.gauss(0, 10)), 90, rnd.gauss(0, 10)) for f in truth
    ]
    track, marker = Track.opened(T0), []
    for fix, (lat, lon) in zip(truth, noise, strict=True):
        _, track = judge(track, Fix(fix.seq, fix.t_ms, lat, lon, 15.0), fix.t_ms + 100)
        assert track.position is not None
        marker.append((track.position.lat, track.position.lon))
    raw_m = statistics.mean(plane_m(f.lat, f.lon, *at) for f, at in zip(truth, noise, strict=True))
    marker_m = statistics.mean(plane_m(f.lat, f.lon, *at) for f, at in zip(truth, marker, strict=True))
    assert marker_m < 0.85 * raw_m
    raw_steps = statistics.stdev(plane_m(*a, *b) for a, b in pairwise(noise))
    marker_steps = statistics.stdev(plane_m(*a, *b) for a, b in pairwise(marker[10:]))
    assert marker_steps < 0.7 * raw_steps
