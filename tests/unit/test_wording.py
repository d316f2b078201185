"""The words of notifications: every language says everything, with the same fields, and no gap is ever shown."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import services
from domain.money import Money
from domain.notifying import TEMPLATES
from rest.me import MeBody
from services.wording import BOOK, FALLBACK, FIELDS, LANGUAGES, LONGEST_NOTE, Story, fields_of, render

STORY = Story(
    service="Haircut", area="Harbor", number="D-1042", time_zone="America/New_York",
    starts_at=datetime(2026, 11, 24, 18, 30, tzinfo=UTC), technician="Grace",
    until=datetime(2026, 11, 24, 20, tzinfo=UTC), answer_by=datetime(2026, 11, 24, 17, 5, tzinfo=UTC),
    total=Money(4770, "USD"), amount=Money(1200, "USD"), note="The bell is broken",
)  # fmt: skip
UNKNOWN = replace(STORY, technician=None, until=None, answer_by=None, amount=None, note=None)


def test_who_has_an_account_may_choose_each_language() -> None:
    """And no other."""
    wish = MeBody.model_json_schema()["properties"]["language"]["anyOf"][0]["enum"]
    assert sorted(wish) == sorted(LANGUAGES)


def test_every_file_is_a_language() -> None:
    """Nobody adds a file that is never read, or a language without one."""
    folder = Path(services.__file__).parent / "templates"
    assert {path.stem for path in folder.iterdir()} == set(LANGUAGES)
    assert FALLBACK in LANGUAGES


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_every_template_with_the_same_fields(language: str) -> None:
    """What English says, the others say as well, and of nothing more."""
    spoken, fallback = BOOK[language].templates, BOOK[FALLBACK].templates
    assert spoken.keys() == TEMPLATES.keys()
    assert BOOK[language].words.keys() == BOOK[FALLBACK].words.keys()
    for name, (title, body) in spoken.items():
        assert fields_of(body) <= FIELDS, name
        assert fields_of(title) <= FIELDS, name
        assert fields_of(title + body) == fields_of("".join(fallback[name])), name
    assert len(BOOK[language].words["days"]) == 7
    assert len(BOOK[language].words["months"]) == 12


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("template", sorted(TEMPLATES))
@pytest.mark.parametrize("story", [STORY, UNKNOWN], ids=["known", "unknown"])
def test_everything_renders(language: str, template: str, story: Story) -> None:
    """On one line, with no field left over, and short enough for a phone."""
    for text in render(language, template, story):
        assert text
        assert "{" not in text
        assert "\n" not in text
        assert len(text) < 200


def test_times_and_money_are_written_as_the_language_does() -> None:
    """By the clocks of the visit's area."""
    assert render("en", "customer_accepted", STORY)[1].startswith(
        "Grace will come for Haircut on Tue, Nov 24, 1:30 pm."
    )
    assert "Di, 24. Nov., 13:30" in render("de", "customer_accepted", STORY)[1]
    assert "mar 24 nov, 13:30" in render("es", "customer_accepted", STORY)[1]
    assert render("de", "customer_completed", STORY)[0] == "Ihr Besuch ist beendet: 47,70 USD"
    assert render("en", "customer_cancelled", STORY)[1].endswith("A fee of 12.00 USD applies.")
    free = replace(STORY, amount=Money(0, "USD"))
    assert render("en", "customer_cancelled", free)[1].endswith("There is no fee.")


def test_a_language_that_we_do_not_speak_is_english() -> None:
    """A person's wish from a release that knew more languages is no error."""
    assert render("xx", "customer_near", STORY) == render("en", "customer_near", STORY)


@given(words=st.text())
def test_peoples_words_stay_in_their_place(words: str) -> None:
    """No name and no note breaks a line, opens a field, or grows without end."""
    story = replace(STORY, technician=words, note=words, service=words or "x")
    title, body = render("en", "customer_note", story)
    assert title.isprintable()
    assert body.isprintable()
    assert len(render("en", "customer_note", replace(STORY, note=words * 50))[1]) < LONGEST_NOTE + 100
