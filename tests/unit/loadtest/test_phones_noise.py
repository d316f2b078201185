"""The noise is that of the traces it was learned from: size, memory, gaps; and seeded."""

import random
import statistics
from dataclasses import replace

from geo.distance import METRES_PER_DEGREE, plane_m
from loadtest.buffer import Reading
from loadtest.drive import Pose
from loadtest.noise import QUIET, Habits, PhoneGps, Radio

PARKED = Pose(39.28, -76.58, 0.0, 90.0)


def readings(habits: Habits, seed: int, seconds: int = 3_000) -> list[Reading]:
    """A parked phone, read every three seconds."""
    gps = PhoneGps(random.Random(seed), habits)
    heard = [gps.read(PARKED, 1_700_000_000_000 + t * 1_000) for t in range(0, seconds, 3)]
    return [reading for reading in heard if reading is not None]


def test_jitter_has_the_size_and_the_memory_of_the_traces() -> None:
    """A parked phone wanders by metres, and one reading resembles the next."""
    off, memory = [], []
    for seed in range(20):
        north = [(r.lat - PARKED.lat) * METRES_PER_DEGREE for r in readings(QUIET, seed)]
        off += [abs(m) for m in north]
        memory.append(statistics.correlation(north[:-1], north[1:]))
    assert 1.0 < statistics.median(off) < 6.0
    assert 0.3 < statistics.median(memory) < 0.85


def test_quiet_phones_neither_jump_nor_fall_silent() -> None:
    """The phones that measure latency have jitter only."""
    heard = readings(QUIET, 3)
    assert len(heard) == 1_000
    assert max(plane_m(PARKED.lat, PARKED.lon, r.lat, r.lon) for r in heard) < 50


def test_real_phones_jump_lie_and_fall_silent() -> None:
    """With habits made frequent, each kind of trouble shows up."""
    bad = replace(Habits(), jumps_per_1000=20, lying_share=0.02, gaps_per_hour=30)
    heard = readings(bad, 4)
    assert len(heard) < 1_000
    off = [(plane_m(PARKED.lat, PARKED.lon, r.lat, r.lon), r.acc_m or 0) for r in heard]
    assert any(away > 66 and acc > 30 for away, acc in off)
    assert any(away > 79 and acc < 5 for away, acc in off)


def test_the_same_seed_is_the_same_phone() -> None:
    """Noise can be repeated exactly."""
    assert readings(Habits(), 9, 600) == readings(Habits(), 9, 600) != readings(Habits(), 10, 600)


def test_a_radio_shuffles_without_losing() -> None:
    """Disorder changes the order of a batch and nothing else; one fix has no order."""
    radio = Radio(random.Random(1), replace(Habits(), disorder_share=1.0))
    batch = list(range(20))
    assert sorted(radio.order(batch)) == batch != radio.order(batch)
    assert radio.order([5]) == [5]


def test_outages_come_as_often_as_they_should() -> None:
    """Two an hour, each within its limits."""
    radio = Radio(random.Random(2), Habits())
    away = [s for s in (radio.outage_s(float(t)) for t in range(0, 100 * 3600, 2)) if s]
    assert 150 < len(away) < 260
    assert 8 <= min(away) <= max(away) <= 45
