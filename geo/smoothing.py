"""A constant-velocity Kalman filter over latitude and longitude, weighted by each fix's accuracy.

Both axes share one noise, so one 2 × 2 covariance serves them. The reported accuracy is a hint: it is floored, and a
fix that surprises the filter is trusted less instead of dragging the marker along (Huber's weight on the innovation),
until several in a row do: then the filter was wrong, and begins anew. Metres and seconds inside, degrees only in `lat`
and `lon`.
"""

from dataclasses import dataclass
from math import cos, sqrt

from geo.distance import METRES_PER_DEGREE, wrap_deg

_RAD = 0.017453292519943295
_ACCELERATION = (
    1.6  # m/s², spread of what a driver does between fixes; from the traces (loadtest/judge_traces.py)
)
_UNKNOWN_SIGMA_M = 8.0
_LEAST_SIGMA_M = 4.0
_MOST_SIGMA_M = 1500.0
_FIRST_SPEED_SIGMA_MPS = 12.0
_SURPRISE = 3.5  # standard deviations beyond which a fix is trusted less
_PATIENCE = 3  # surprises in a row
_SPEED_SIGMA_MPS = 1.5


@dataclass(frozen=True, slots=True)
class Smoothed:
    """Where the phone is thought to be and how it moves; `pp`, `pv`, `vv` are the shared covariance."""

    t_ms: int
    lat: float
    lon: float
    north_mps: float
    east_mps: float
    pp: float
    pv: float
    vv: float
    surprises: int = 0

    @property
    def sigma_m(self) -> float:
        """One standard deviation of the position on one axis."""
        return sqrt(self.pp)

    @property
    def speed_mps(self) -> float:
        """Metres per second over ground."""
        return sqrt(self.north_mps * self.north_mps + self.east_mps * self.east_mps)


def fix_sigma_m(acc_m: float | None) -> float:
    """One axis' standard deviation of a fix that claims a 68 % radius of `acc_m`, or claims nothing."""
    if acc_m is None:
        return _UNKNOWN_SIGMA_M
    return min(max(acc_m / 1.515, _LEAST_SIGMA_M), _MOST_SIGMA_M)


def begun(t_ms: int, lat: float, lon: float, sigma_m: float) -> Smoothed:
    """A filter that knows one fix."""
    return Smoothed(t_ms, lat, lon, 0.0, 0.0, sigma_m * sigma_m, 0.0, _FIRST_SPEED_SIGMA_MPS**2)


def moved(old: Smoothed, t_ms: int, lat: float, lon: float, sigma_m: float) -> Smoothed:
    """The filter after a newer fix."""
    dt = (t_ms - old.t_ms) / 1000.0
    scale_x = max(1.0, METRES_PER_DEGREE * cos(old.lat * _RAD))  # at the pole every longitude is one place
    q = _ACCELERATION * _ACCELERATION * dt
    vv = old.vv + q
    pv = old.pv + dt * old.vv + q * dt / 2
    pp = old.pp + dt * (2 * old.pv + dt * old.vv) + q * dt * dt / 3
    north, east = old.north_mps * dt, old.east_mps * dt
    miss_n = (lat - old.lat) * METRES_PER_DEGREE - north
    miss_e = wrap_deg(lon - old.lon) * scale_x - east
    s = pp + sigma_m * sigma_m
    surprise2 = (miss_n * miss_n + miss_e * miss_e) / s
    surprises = 0
    if surprise2 > _SURPRISE * _SURPRISE:
        surprises = old.surprises + 1
        if surprises >= _PATIENCE:
            return begun(t_ms, lat, lon, sigma_m)
        # Huber: the innovation's pull stays what it is at the limit, by widening the fix's noise.
        s *= sqrt(surprise2) / _SURPRISE
    gain_p, gain_v = pp / s, pv / s
    return Smoothed(
        t_ms,
        old.lat + (north + gain_p * miss_n) / METRES_PER_DEGREE,
        wrap_deg(old.lon + (east + gain_p * miss_e) / scale_x),
        old.north_mps + gain_v * miss_n,
        old.east_mps + gain_v * miss_e,
        pp - gain_p * pp,
        pv - gain_p * pv,
        vv - gain_v * pv,
        surprises,
    )


def hearing_speed(old: Smoothed, north_mps: float, east_mps: float) -> Smoothed:
    """The filter after the phone told its velocity (Doppler: better than what positions show)."""
    s = old.vv + _SPEED_SIGMA_MPS * _SPEED_SIGMA_MPS
    gain_p, gain_v = old.pv / s, old.vv / s
    miss_n, miss_e = north_mps - old.north_mps, east_mps - old.east_mps
    scale_x = max(1.0, METRES_PER_DEGREE * cos(old.lat * _RAD))
    return Smoothed(
        old.t_ms,
        old.lat + gain_p * miss_n / METRES_PER_DEGREE,
        wrap_deg(old.lon + gain_p * miss_e / scale_x),
        old.north_mps + gain_v * miss_n,
        old.east_mps + gain_v * miss_e,
        old.pp - gain_p * old.pv,
        old.pv - gain_p * old.vv,
        old.vv - gain_v * old.vv,
        old.surprises,
    )
