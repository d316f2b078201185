"""Addresses by the name of their street: the built-in geocoder, which knows what was loaded and nothing else."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import orjson

from storage.db import Tx

FIND = r"""
SELECT a.street, a.number, a.city, a.postcode, a.lat, a.lon
FROM app.addresses a
WHERE lower(a.street) LIKE $1::text || '%' OR lower(a.street) LIKE '% ' || $1::text || '%'
ORDER BY lower(a.street) LIKE $1::text || '%' DESC,
         a.number IS NOT DISTINCT FROM $2::text DESC,
         CASE WHEN $2::text IS NULL THEN 0
              ELSE abs(coalesce(substring(a.number FROM '^\d{1,6}'), '999999')::integer - $3::integer) END,
         a.street, a.number
LIMIT $4
"""
LOAD = """
INSERT INTO app.addresses (street, number, city, postcode, lat, lon)
SELECT street, number, city, postcode, lat, lon FROM jsonb_populate_recordset(NULL::app.addresses, $1::text::jsonb)
ON CONFLICT DO NOTHING
"""
NUMBER = re.compile(r"([0-9]{1,5})[a-z]?")


@dataclass(frozen=True, slots=True)
class Address:
    """A house, or a street's middle when it has no number."""

    street: str
    number: str | None
    city: str
    postcode: str
    lat: float
    lon: float

    @property
    def line1(self) -> str:
        """The first line of a letter."""
        return f"{self.number} {self.street}" if self.number else self.street


async def find(tx: Tx, query: str, limit: int) -> list[Address]:
    """Find addresses by the beginning of a word of the street's name; a number prefers its house, then near ones."""
    words = query.lower().replace(",", " ").split()
    numbers = [found for word in words if (found := NUMBER.fullmatch(word))]
    name = " ".join(word for word in words if not NUMBER.fullmatch(word))
    name = re.sub(r"[\\%_]", "", name)
    if not name:
        return []
    number, nearest = (numbers[0][0], int(numbers[0][1])) if numbers else (None, 0)
    return [Address(**record) for record in await tx.fetch(FIND, name, number, nearest, limit)]


async def load(tx: Tx, addresses: Sequence[Address]) -> None:
    """Add addresses; those that are known stay as they are."""
    await tx.execute(LOAD, orjson.dumps([asdict(each) for each in addresses]).decode())
