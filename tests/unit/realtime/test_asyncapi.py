"""The AsyncAPI document holds together and says what the doors hear."""

from typing import Any

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
