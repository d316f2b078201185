"""The words of notifications, by language: small files of templates, read once, filled at the moment of sending.

A field that is not known (a technician who was erased, a note whose author was) has a word of its own in each language,
so that rendering never fails and never shows a gap. Times are those of the visit's area.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from string import Formatter
from typing import Any
from zoneinfo import ZoneInfo

from domain.money import Money

LANGUAGES = ("en", "de", "es")
FALLBACK = "en"
FIELDS = frozenset(
    (
        "service",
        "area",
        "number",
        "technician",
        "when",
        "until",
        "answer_by",
        "total",
        "amount",
        "fee",
        "note",
    )
)
LONGEST_NOTE = 500


@dataclass(frozen=True, slots=True)
class Story:
    """What a notification speaks about; None is what nobody knows (any more)."""

    service: str
    area: str
    number: str
    time_zone: str
    starts_at: datetime
    technician: str | None
    until: datetime | None
    answer_by: datetime | None
    total: Money
    amount: Money | None
    note: str | None


@dataclass(frozen=True, slots=True)
class Language:
    """One file: its words, and its templates as `name -> (title, body)`."""

    words: Mapping[str, Any]
    templates: Mapping[str, tuple[str, str]]


def _read(language: str) -> Language:
    document = tomllib.loads((files("services") / "templates" / f"{language}.toml").read_text("utf-8"))
    templates = {name: (each["title"], each["body"]) for name, each in document["templates"].items()}
    return Language(document["words"], templates)


BOOK: Mapping[str, Language] = {language: _read(language) for language in LANGUAGES}


def render(language: str, template: str, story: Story) -> tuple[str, str]:
    """Return title and body, each on one line, in a language, or in the fallback when it is not ours."""
    spoken = BOOK.get(language, BOOK[FALLBACK])
    values = _values(spoken.words, story)
    title, body = (text.format_map(values) for text in spoken.templates[template])
    return _one_line(title), _one_line(body)


def fields_of(text: str) -> frozenset[str]:
    """Return the names of the fields in a template's text."""
    return frozenset(name for _, name, _, _ in Formatter().parse(text) if name is not None)


def _values(words: Mapping[str, Any], story: Story) -> dict[str, str]:
    def clock(at: datetime | None) -> str:
        return "" if at is None else _clock(words, at.astimezone(ZoneInfo(story.time_zone)))

    start = story.starts_at.astimezone(ZoneInfo(story.time_zone))
    amount = None if story.amount is None else _money(words, story.amount)
    note = story.note if story.note is not None else words["gone"]
    return {
        "service": story.service,
        "area": story.area,
        "number": story.number,
        "technician": story.technician or words["somebody"],
        "when": words["when"].format(
            day=words["days"][start.weekday()],
            date=start.day,
            month=words["months"][start.month - 1],
            time=_clock(words, start),
        ),
        "until": clock(story.until),
        "answer_by": clock(story.answer_by),
        "total": _money(words, story.total),
        "amount": amount or "",
        "fee": words["fee"].format(amount=amount)
        if story.amount and story.amount.amount
        else words["no_fee"],
        "note": note if len(note) <= LONGEST_NOTE else f"{note[: LONGEST_NOTE - 1]}…",
    }


def _clock(words: Mapping[str, Any], local: datetime) -> str:
    if words["clock"] == 24:
        return f"{local:%H:%M}"
    return f"{local.hour % 12 or 12}:{local:%M} {'am' if local.hour < 12 else 'pm'}"


def _money(words: Mapping[str, Any], money: Money) -> str:
    return money.text().replace(".", words["decimal"])


def _one_line(text: str) -> str:
    """Make one line of it: names and notes are people's own words, and a header must not break."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line[:1].upper() + line[1:]
