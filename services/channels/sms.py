"""Text messages through any gateway that takes an HTTP POST: address, credentials and the body's form are settings.

The body's form is JSON, or `name={to}&other={text}`; `{to}`, `{text}` and `{id}` in it become the number, the words and
the notification's id, each written so that no words of a person can break out of their field.
"""

import re
from datetime import datetime
from typing import Any
from urllib.parse import quote_plus

import orjson

from services.channels.channel import WITHIN_S, Letter, Sent, To, of_answer
from services.posting import AddressRefusedError, Poster, UnreachableError

DEFAULT_BODY = '{"to": "{to}", "text": "{text}", "id": "{id}"}'
LONGEST_TEXT = 300  # about two messages; what is longer is cut
FIELD = re.compile(r"\{(to|text|id)\}")
NOT_A_DIGIT = re.compile(r"[^0-9]")


class BodyForm:
    """The form of a gateway's body. Raises ValueError where it has no `{to}` and `{text}`, or is broken JSON."""

    def __init__(self, form: str) -> None:
        if not {"to", "text"} <= set(FIELD.findall(form)):
            raise ValueError("it needs {to} and {text}")
        self._form = form
        self._json: Any = None
        self.content_type = "application/x-www-form-urlencoded"
        if form.lstrip().startswith("{"):
            try:
                self._json = orjson.loads(form)
            except orjson.JSONDecodeError:
                raise ValueError("it begins like JSON and is none") from None
            self.content_type = "application/json"

    def fill(self, values: dict[str, str]) -> bytes:
        """Return the body for one message."""
        if self._json is not None:
            return orjson.dumps(_filled(self._json, values))
        return FIELD.sub(lambda found: quote_plus(values[found[1]]), self._form).encode()


def _filled(part: Any, values: dict[str, str]) -> Any:
    if isinstance(part, str):
        return FIELD.sub(lambda found: values[found[1]], part)
    if isinstance(part, list):
        return [_filled(each, values) for each in part]
    if isinstance(part, dict):
        return {name: _filled(each, values) for name, each in part.items()}
    return part


class SmsChannel:
    """`authorization` is the value of that header, if the gateway wants one."""

    def __init__(self, poster: Poster, url: str, form: BodyForm, authorization: str | None = None) -> None:
        self._poster, self._url, self._form = poster, url, form
        self._headers = {"Content-Type": form.content_type}
        if authorization is not None:
            self._headers["Authorization"] = authorization

    async def send(self, letter: Letter, to: To, now: datetime) -> Sent:  # noqa: ARG002 - the Protocol
        """Hand one message over."""
        phone = to.phone or ""
        number = ("+" if phone.strip().startswith("+") else "") + NOT_A_DIGIT.sub("", phone)
        text = letter.body if len(letter.body) <= LONGEST_TEXT else f"{letter.body[: LONGEST_TEXT - 1]}…"
        body = self._form.fill({"to": number, "text": text, "id": str(letter.notification_id)})
        headers = {**self._headers, "Idempotency-Key": str(letter.notification_id)}
        try:
            posted = await self._poster.post(self._url, body, headers, timeout_s=WITHIN_S)
        except AddressRefusedError:
            return Sent("address_refused")
        except UnreachableError:
            return Sent("unreachable", again=True, unreachable=True)
        return of_answer(posted)
