"""The AsyncAPI document holds together and says what the doors hear."""

import re
from pathlib import Path
from typing import Any

from domain.booking_events import HAPPENED
from realtime.asyncapi import NAMESPACES, document


def references(node: Any) -> list[str]:
    """Return every $ref in a document."""
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [ref for value in node.values() for ref in references(value)]
    if isinstance(node, list):
        return [ref for value in node for ref in references(value)]
    return []


def test_every_reference_leads_somewhere() -> None:
    """No $ref of the document points at nothing."""
    whole = document()
    for ref in references(whole):
        node: Any = whole
        for part in ref.removeprefix("#/").split("/"):
            assert part in node, ref
            node = node[part]


def test_every_type_of_event_is_named() -> None:
    """The document and the page name what may come; a hold let go is told to nobody."""
    told = document()["components"]["schemas"]["Event"]["properties"]["type"]["examples"]
    assert set(told) == {happened.type for happened in HAPPENED} - {"payment.voided"}
    page = (Path(__file__).parents[3] / "docs" / "protocol.md").read_text()
    assert set(re.findall(r"^\| `((?:booking|payment)\.\w+)` \|", page, re.MULTILINE)) == set(told)


def test_all_namespaces_are_described() -> None:
    """The three namespaces of the contract, each with its events and `renew`."""
    whole = document()
    assert whole["asyncapi"].startswith("3.")
    assert {channel["address"] for channel in whole["channels"].values()} == {
        "/presence",
        "/bookings",
        "/gps",
    }
    for namespace in NAMESPACES:
        assert f"{namespace.strip('/')}.renew" in whole["operations"]
        assert f"{namespace.strip('/')}.on_closing" in whole["operations"]
