"""Channels from settings: what is on, what is refused at once, and the demo's own key."""

from pathlib import Path

import pytest

from app.channels import FILE, channels
from app.settings import SettingsError, described, load
from domain.notifying import EMAIL, LOG, SMS, WEB_PUSH
from services.channels.web_push import VapidKey
from services.posting import NoPoster


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever this machine sets is not part of these tests."""
    for name, _, _ in described():
        monkeypatch.delenv(name, raising=False)


def test_a_house_without_settings_only_logs(tmp_path: Path) -> None:
    """And makes no key that nobody needs."""
    on = channels(load(data_dir=tmp_path), NoPoster())
    assert (set(on.by_name), on.push_key) == ({LOG}, None)
    assert list(tmp_path.iterdir()) == []


def test_each_channel_is_on_by_its_setting(tmp_path: Path) -> None:
    """With the key of web push kept in a file that only we read, the same at the next start."""
    settings = load(
        data_dir=tmp_path,
        smtp_url="smtps://me:hunter2@mail.example",
        smtp_sender="House <visits@house.example>",
        sms_url="https://sms.example/send",
        sms_body="To={to}&Body={text}",
        sms_authorization="Bearer hunter2",
        web_push_contact="house@example.org",
    )
    on = channels(settings, NoPoster())
    assert set(on.by_name) == {EMAIL, SMS, WEB_PUSH}
    assert on.push_key == channels(settings, NoPoster()).push_key
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    assert "hunter2" not in repr(settings)


def test_a_key_may_come_on_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """As environments write it."""
    pem = VapidKey.new()
    monkeypatch.setenv("DOORSTEP_VAPID_KEY", pem.decode().replace("\n", "\\n"))
    monkeypatch.setenv("DOORSTEP_WEB_PUSH_CONTACT", "house@example.org")
    monkeypatch.setenv("DOORSTEP_DATABASE_URL", "postgresql://db.example/doorstep")
    assert channels(load(), NoPoster()).push_key == VapidKey(pem).public


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"smtp_url": "smtps://me:hunter2@mail.example"}, "needs DOORSTEP_SMTP_SENDER"),
        ({"smtp_url": "https://mail.example"}, "DOORSTEP_SMTP_URL cannot be used"),
        ({"smtp_sender": "nobody"}, "it is no mail address"),
        ({"sms_body": "text={text}"}, "it needs {to} and {text}"),
        ({"sms_body": '{"to": "{to}", "text": {text}}'}, "it begins like JSON and is none"),
        ({"vapid_key": "hunter2"}, "it is no private key in PEM form"),
        (
            {"web_push_contact": "a@house.example", "database_url": "postgresql://db.example/doorstep"},
            "needs DOORSTEP_VAPID_KEY",
        ),
    ],
)
def test_half_a_channel_is_one_sentence(given: dict[str, str], words: str) -> None:
    """At start, without a secret in it."""
    with pytest.raises(SettingsError, match=words.replace("{", r"\{")) as caught:
        load(**given)
    assert "hunter2" not in str(caught.value)
