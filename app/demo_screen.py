"""What `doorstep demo` shows: progress while it works, then one screen with addresses, accounts and what is happening.

On a terminal it is redrawn in place; elsewhere (a pipe, a log, a test) it is plain lines, and few of them.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

type Status = Mapping[str, Any]

PASSWORD = "doorstep-demo"  # noqa: S105 - published in the README; these accounts exist in the demo only
ROLES = ("customer", "technician", "dispatcher", "support", "finance", "founder")
PAGES = (
    ("Everything", "/"),
    ("Live map", "/dispatch"),
    ("Book a visit", "/book"),
    ("Technician", "/technician"),
    ("System", "/system"),
    ("Interface", "/docs"),
)
DATABASE_WELL = "PostgreSQL answers."
FIRST_LINE_S = 12.0
LINE_EVERY_S = 60.0


class Screen(Protocol):
    """Where the demo tells what it does."""

    def step(self, words: str) -> None:
        """Something that takes a moment begins."""

    def up(self, url: str, note: str) -> None:
        """Everything stands."""

    def status(self, status: Status) -> None:
        """What the phones say."""

    def trouble(self, words: str) -> None:
        """Something is not as it should be; the demo goes on."""

    def database(self, words: str) -> None:
        """What is wrong with PostgreSQL, until other words come; empty: nothing."""


@contextmanager
def open_screen(console: Console) -> Iterator[Screen]:
    """Yield the screen that fits where we print."""
    if not console.is_terminal:
        yield PlainScreen(console)
        return
    screen = LiveScreen()
    with Live(screen, console=console, refresh_per_second=4, transient=False):
        yield screen


class PlainScreen:
    """Lines."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._next_at = time.monotonic() + FIRST_LINE_S

    def step(self, words: str) -> None:
        """Print it."""
        self._say(f"{words} …")

    def up(self, url: str, note: str) -> None:
        """Print addresses and accounts."""
        self._say(f"Doorstep is up: {url}/")
        for title, path in PAGES:
            self._say(f"  {title:<13} {url}{path}")
        self._say(f"Accounts, password {PASSWORD}:")
        for role in ROLES:
            self._say(f"  {role}@demo.doorstep.example")
        self._say(note)

    def status(self, status: Status) -> None:
        """Print one when the city is awake, then one a minute."""
        if time.monotonic() >= self._next_at:
            self._next_at = time.monotonic() + LINE_EVERY_S
            self._say("; ".join(_sentences(status)))

    def trouble(self, words: str) -> None:
        """Print it."""
        self._say(words)

    def database(self, words: str) -> None:
        """Print it, and that it is over."""
        self._say(words or DATABASE_WELL)

    def _say(self, words: str) -> None:
        self._console.print(words, markup=False, highlight=False, soft_wrap=True)
        self._console.file.flush()


class LiveScreen:
    """One picture, drawn again a few times a second."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._steps: list[str] = []
        self._spinner = Spinner("dots", style="cyan")
        self._url = ""
        self._note = ""
        self._status: Status = {}
        self._trouble = ""
        self._database = ""

    def step(self, words: str) -> None:
        """Show it with a spinner, and what came before with a tick."""
        self._steps.append(words)

    def up(self, url: str, note: str) -> None:
        """Change from progress to the picture."""
        self._url, self._note = url, note

    def status(self, status: Status) -> None:
        """Show the newest."""
        self._status = status
        self._trouble = ""

    def trouble(self, words: str) -> None:
        """Show it until a status comes."""
        self._trouble = words

    def database(self, words: str) -> None:
        """Show it as long as it is so."""
        self._database = words

    def __rich__(self) -> RenderableType:
        return self._picture() if self._url else self._progress()

    def _progress(self) -> RenderableType:
        lines: list[RenderableType] = [Text("Doorstep", style="bold")]
        lines += [Text(f"  ✓ {step}", style="dim") for step in self._steps[:-1]]
        if self._steps:
            self._spinner.update(text=f" {self._steps[-1]}")
            lines.append(self._spinner)
        return Group(*lines)

    def _picture(self) -> RenderableType:
        pages = Table.grid(padding=(0, 3))
        for title, path in PAGES:
            pages.add_row(Text(title, style="dim"), Text(f"{self._url}{path}", style="cyan"))
        accounts = Table.grid(padding=(0, 3))
        for first, second in zip(ROLES[::2], ROLES[1::2], strict=True):
            accounts.add_row(*(Text(f"{role}@demo.doorstep.example") for role in (first, second)))
        body: list[RenderableType] = [
            pages,
            Text(),
            Text(f"Sign in with the password {PASSWORD} as", style="dim"),
            accounts,
            Text(),
        ]
        body += [Text(sentence) for sentence in _sentences(self._status)]
        if self._database:
            body.append(Text(self._database, style="yellow"))
        if self._trouble:
            body.append(Text(self._trouble, style="yellow"))
        body += [Text(), Text(self._note, style="dim")]
        minutes, seconds = divmod(int(time.monotonic() - self._began), 60)
        return Panel(
            Group(*body),
            title="[bold]Doorstep[/bold] · Baltimore",
            subtitle=f"up {minutes // 60}:{minutes % 60:02d}:{seconds:02d} · Ctrl-C ends everything",
            padding=(1, 3),
            border_style="cyan",
        )


def _sentences(status: Status) -> list[str]:
    """Say a status of the phones in words."""
    if not status:
        return ["The phones are signing in."]
    technicians = status.get("technicians", {})
    lines = [f"{sum(technicians.values())} technicians: {_counts(technicians)}"]
    if visits := status.get("visits"):
        lines.append(f"{sum(visits.values())} customers: {_counts(visits)}")
    if happened := status.get("happened"):
        lines.append(f"so far: {_counts(happened)}")
    latency = status.get("fix_to_customer_ms") or {}
    if latency.get("p95") is not None:
        lines.append(f"from a phone's fix to the customer's page: {latency['p95']:.0f} ms (95 of 100)")
    if errors := status.get("errors"):
        lines.append(f"troubles met and survived: {_counts(errors)}")
    return lines


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {name.replace('_', ' ')}" for name, number in counts.items() if number)
