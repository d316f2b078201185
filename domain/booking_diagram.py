"""The transition table drawn for people: a Mermaid state diagram and a Markdown table, for docs/booking.md.

`python -m domain.booking_diagram` prints both; a test holds the document to what this prints.
"""

from domain.booking import FINAL, TRANSITIONS, State


def mermaid() -> str:
    """Return the state diagram."""
    lines = ["stateDiagram-v2", f"    [*] --> {State.REQUESTED}: request (customer)"]
    lines += [
        f"    {source} --> {row.target}: {row.command} ({', '.join(sorted(row.by))})"
        for row in TRANSITIONS
        for source in _in_order(row.sources)
    ]
    lines += [f"    {state} --> [*]" for state in State if state in FINAL]
    return "\n".join(lines)


def _in_order(states: frozenset[State]) -> list[State]:
    return [state for state in State if state in states]


def table() -> str:
    """Return the table, one row a transition."""
    lines = ["| command | from | to | by | event |", "|---|---|---|---|---|"]
    for row in TRANSITIONS:
        sources = ", ".join(_in_order(row.sources))
        lines.append(
            f"| `{row.command}` | {sources} | {row.target} | {', '.join(sorted(row.by))} | `{row.event}` |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    print(f"```mermaid\n{mermaid()}\n```\n\n{table()}")  # noqa: T201 - this is its whole purpose
