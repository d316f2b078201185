"""Which sequence numbers of a session were handled already, in bounded memory.

A phone counts its fixes from 1 (0 is taken too) and may send them in any order and again; each is counted once.
`upto` is the highest number at and below which all were handled; the bits of `beyond` mark what lies above the gap.
"""

from dataclasses import dataclass
from typing import Any, Self

WINDOW = 16_384
"""How far numbers may run ahead of a gap (22 hours at 5 s, 2 KB); older gaps then count as handled: they are lost."""


@dataclass(frozen=True, slots=True)
class Handled:
    """An immutable set of sequence numbers; bit i of `beyond` stands for `upto + 1 + i`."""

    upto: int = 0
    beyond: int = 0
    zero: bool = False

    def __contains__(self, seq: int) -> bool:
        if seq <= self.upto:
            return seq > 0 or self.zero
        return bool(self.beyond >> (seq - self.upto - 1) & 1)

    def adding(self, seq: int) -> "Handled":
        """The set with one more number, which may be in it already."""
        upto, beyond = self.upto, self.beyond
        if seq == upto + 1:  # the usual case: the next in order
            if not beyond:
                return Handled(seq, 0, self.zero)
            beyond |= 1
        elif seq <= upto:
            return self if seq else Handled(upto, beyond, zero=True)
        else:
            ahead = seq - upto - 1
            if ahead >= WINDOW:
                given_up = ahead - WINDOW + 1
                upto += given_up
                beyond >>= given_up
                ahead = WINDOW - 1
            beyond |= 1 << ahead
        run = (~beyond & beyond + 1).bit_length() - 1  # how many ones stand without a gap
        return Handled(upto + run, beyond >> run, self.zero)

    def reaching(self, seq: int) -> "Handled":
        """The set with this number and every one below it."""
        upto = max(seq, self.upto)
        beyond = self.beyond >> (upto - self.upto)
        run = (~beyond & beyond + 1).bit_length() - 1
        return Handled(upto + run, beyond >> run, zero=True)

    def to_snapshot(self) -> list[Any]:
        """A JSON-able copy."""
        return [self.upto, f"{self.beyond:x}", self.zero]

    @classmethod
    def from_snapshot(cls, snapshot: list[Any]) -> Self:
        """The set of a snapshot."""
        upto, beyond, zero = snapshot
        return cls(int(upto), int(beyond, 16), bool(zero))
