"""Settings: documented, bounded, masked, and a wrong one is one sentence."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli import app
from app.settings import Settings, SettingsError, described, load
from app.signing import secret_key


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever this machine sets is not part of these tests."""
    for name, _, _ in described():
        monkeypatch.delenv(name, raising=False)


def test_every_setting_says_what_it_is_for() -> None:
    """The list of `serve --help` has no gap."""
    assert all(words for _, _, words in described())


def test_help_shows_every_setting() -> None:
    """An operator finds all of them in one place."""
    shown = CliRunner().invoke(app, ["serve", "--help"], env={"COLUMNS": "200", "TERM": "dumb"}).output
    for name, _, _ in described():
        assert name in shown


def test_the_environment_is_read_and_the_command_line_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists are words with commas between."""
    monkeypatch.setenv("DOORSTEP_PORT", "9000")
    monkeypatch.setenv("DOORSTEP_ALLOWED_ORIGINS", "https://a.example, https://b.example")
    assert load().port == 9000
    assert load(port=9001).port == 9001
    assert load(port=None).port == 9000
    assert load().allowed_origins == ("https://a.example", "https://b.example")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("DOORSTEP_PORT", "99999", "DOORSTEP_PORT cannot be used"),
        (
            "DOORSTEP_SECRET_KEY",
            "short-secret",
            "DOORSTEP_SECRET_KEY cannot be used: give it at least 32 characters",
        ),
    ],
)
def test_a_wrong_setting_is_one_sentence_without_its_value(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    """It names the variable, and never repeats a secret."""
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=words) as caught:
        load()
    assert value not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "nonsense",
        "mysql://u:cretpass@h/d",
        "postgresql://u:se/cretpass@h/d",
        "postgresql://u:12/cretpass@h:5432/d",
        "postgresql://u:se@cretpass@h/d",
        "postgresql://u:se#cretpass@h/d",
        "postgresql://u:12?cretpass@h/d",
        "postgresql://u:[cretpass@h/d",
        "postgresql://u:cretpass@h:notaport/d",
        "postgresql://u:cretpass@h:5432:1/d",
    ],
)
def test_an_address_that_cannot_be_used_is_refused_without_a_piece_of_it(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """Most often the password holds a character that ends it too soon."""
    for name in ("DOORSTEP_DATABASE_URL", "DOORSTEP_MIGRATE_URL", "DOORSTEP_REDIS_URL"):
        monkeypatch.setenv(name, url.replace("postgresql", "redis") if "REDIS" in name else url)
        with pytest.raises(SettingsError, match=f"^{name} cannot be used: it") as caught:
            load()
        assert not [
            piece for piece in ("cretpass", "u:", "notaport", "nonsense") if piece in str(caught.value)
        ]
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p%2Fw@h:5432/d?sslmode=require",
        "postgres://h/d",
        "postgresql://u:p@[::1]:5432/d",
        "postgresql://u:p@h1:5432,h2:5433/d",
        "postgresql:///d?host=/run/postgresql",
    ],
)
def test_an_address_that_can_be_used_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Encoded passwords, IPv6, several hosts, a socket."""
    monkeypatch.setenv("DOORSTEP_DATABASE_URL", url)
    given = load().database_url
    assert given is not None
    assert given.get_secret_value() == url


def test_secrets_never_print() -> None:
    """Neither in a representation nor in an error."""
    settings = Settings(secret_key="s" * 40, database_url="postgresql://a:pw-pw-pw@h/d")  # type: ignore[arg-type]  # pydantic parses text
    assert "ssss" not in repr(settings)
    assert "pw-pw" not in repr(settings)


def test_a_signing_key_is_required_outside_the_demo_and_kept_in_its_folder(tmp_path: Path) -> None:
    """`serve` on the demo's folder knows the demo's accounts; elsewhere it asks for a key."""
    settings = Settings(data_dir=tmp_path / "data")
    with pytest.raises(SettingsError, match="DOORSTEP_SECRET_KEY is not set"):
        secret_key(settings)
    made = secret_key(settings, make=True)
    assert secret_key(settings) == made
    assert (tmp_path / "data" / "secret-key").stat().st_mode & 0o077 == 0
    elsewhere = settings.model_copy(update={"database_url": "postgresql://h/d"})
    with pytest.raises(SettingsError):
        secret_key(elsewhere)
