"""The command line: `doorstep …`. What goes wrong is one sentence on stderr and a non-zero exit code, no stack trace.

Exit codes: 0 done; 1 it could not be done, and the sentence says why; 2 the command line was wrong; 130 Ctrl-C.
"""

import asyncio
import shutil
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from app.settings import SettingsError, described, load

HELP = "Live dispatch for home visits: bookings that hold, positions that are honest, a licence before the door opens."
ENVIRONMENT = "\n\n".join(
    f"[cyan]{name}[/cyan] [dim]({escape(default)})[/dim] {escape(words)}"
    for name, default, words in described()
)
STYLE = {"no_args_is_help": True, "rich_markup_mode": "rich", "pretty_exceptions_enable": False}

app = typer.Typer(help=HELP, add_completion=False, **STYLE)  # type: ignore[arg-type]  # STYLE holds values of several types
user = typer.Typer(help="People with accounts.", **STYLE)  # type: ignore[arg-type]  # STYLE holds values of several types
audit = typer.Typer(help="The record of decisions.", **STYLE)  # type: ignore[arg-type]  # STYLE holds values of several types
app.add_typer(user, name="user", rich_help_panel="Answer for")
metrics = typer.Typer(help="What reports read.", **STYLE)  # type: ignore[arg-type]  # STYLE holds values of several types
app.add_typer(metrics, name="metrics", rich_help_panel="Look after")
match = typer.Typer(help="Who was offered to whom, and why.", **STYLE)  # type: ignore[arg-type]  # STYLE holds values of several types
app.add_typer(audit, name="audit", rich_help_panel="Answer for")
app.add_typer(match, name="match", rich_help_panel="Answer for")
job = typer.Typer(help="Jobs that nobody could do.", **STYLE)  # type: ignore[arg-type]  # STYLE holds values of several types
app.add_typer(job, name="job", rich_help_panel="Answer for")
dead_letter = typer.Typer(help="Work that nobody could do: events and jobs.", **STYLE)  # type: ignore[arg-type]  # STYLE holds values of several types
app.add_typer(dead_letter, name="dead-letter", rich_help_panel="Answer for")
retention = typer.Typer(help="What goes by policy, and when.", **STYLE)  # type: ignore[arg-type]  # STYLE holds values of several types
app.add_typer(retention, name="retention", rich_help_panel="Look after")

Host = Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")]
Port = Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one.", show_default="8080")]


@app.command(rich_help_panel="Run")
def demo(
    host: Host = None,
    port: Port = None,
    technicians: Annotated[
        int, typer.Option(min=1, max=500, help="Phones that drive through the city.")
    ] = 40,
    speed: Annotated[float, typer.Option(min=0.2, max=20, help="How much faster than real life goes.")] = 5.0,
    traces: Annotated[
        Path | None,
        typer.Option(exists=True, file_okay=False, help="A folder of recorded trips to drive again."),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Start over: the data of this demo is removed.")
    ] = False,
    simulator: Annotated[bool, typer.Option(help="Phones and customers that live in the city.")] = True,
) -> None:
    """The whole of Doorstep in one command: a city, its technicians on real streets, a live map."""
    from app.demo import Plan
    from app.demo import demo as run

    settings = load(host=host, port=port)
    plan = Plan(technicians=technicians, speed=speed, traces=traces, simulator=simulator, fresh=fresh)
    run(settings, plan, Console())


@app.command(rich_help_panel="Run", epilog=f"[bold]Settings[/bold], from the environment:\n\n{ENVIRONMENT}")
def serve(
    host: Host = None,
    port: Port = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes that share the port.")] = 1,
    migrate: Annotated[bool, typer.Option("--migrate", help="Apply pending migrations first.")] = False,
    shared: Annotated[bool, typer.Option("--shared", hidden=True)] = False,
) -> None:
    """Serve: REST, Socket.IO and pages on one port."""
    from app import logging
    from app.serve import serve as run

    settings = load(host=host, port=port)
    logging.configure(settings.log_level)
    run(settings, workers=workers, migrate_first=migrate, shared=shared)


@app.command(rich_help_panel="Look after")
def migrate() -> None:
    """Bring the database up to date; safe while others do the same, and while the last release runs."""
    from app.reach import reached
    from storage.migrate import migrate as run

    with reached(load(), beside=True) as database:
        applied = asyncio.run(run(database.owner_url))
    for name in applied:
        typer.echo(f"applied {name}")
    if not applied:
        typer.echo("Nothing to do: every migration is applied.")


@user.command("add")
def user_add(
    email: Annotated[str, typer.Argument(help="What the person signs in with.")],
    role: Annotated[str, typer.Option(help="customer, technician, dispatcher, support, finance or founder.")],
    name: Annotated[str, typer.Option(help="The name that others see.")],
    areas: Annotated[str, typer.Option(help="A dispatcher's area ids, commas between; or all.")] = "",
    password: Annotated[
        str,
        typer.Option(
            prompt=True, hide_input=True, confirmation_prompt=True, help="Asked for when not given."
        ),
    ] = "",
) -> None:
    """Add a person, such as the first founder or a dispatcher."""
    from app.people import add

    person_id = add(load(), email=email, role=role, name=name, areas=areas, password=password)
    typer.echo(f"Added {person_id}.")


@user.command("erase")
def user_erase(
    person_id: Annotated[str, typer.Argument(help="The person's id.")],
    sure: Annotated[bool, typer.Option("--yes", help="Ask nothing.")] = False,
) -> None:
    """Erase a person for good, as they could themselves; what happened stays true under a pseudonym."""
    from app.people import erase

    if not sure:
        typer.confirm("Name, address, phone number and words are destroyed. Go on?", abort=True)
    erase(load(), person_id)
    typer.echo("Erased. Sessions end within seconds.")


@audit.command("verify")
def audit_verify(
    head: Annotated[
        str | None,
        typer.Option(
            help="A head that was kept elsewhere: its file or its hash. The chain must still hold it."
        ),
    ] = None,
) -> None:
    """Walk the whole chain of decisions and say whether it holds."""
    from app.audit import verified

    verdict = verified(load(), head)
    if not verdict.ok:
        raise SettingsError(f"The chain does not hold: {verdict.broken}.")
    typer.echo(f"The chain holds: {verdict.events} decisions, head {verdict.head or 'none yet'}.")


@app.command(rich_help_panel="Answer for")
def verify() -> None:
    """Prove that bookings, events, money, time held, decisions and answers agree with each other."""
    from app.verify import findings, lines

    found = findings(load())
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for line in lines(found, columns):
        typer.echo(line)
    broken = [finding.name for finding in found if finding.broken]
    if broken:
        raise SettingsError(f"It does not all hold: {', '.join(broken)}.")
    typer.echo("Everything holds.")


@audit.command("head")
def audit_head(
    out: Annotated[Path | None, typer.Option(help="Where to write it; nothing: stdout.")] = None,
) -> None:
    """Take the newest head away: kept elsewhere, it shows a chain that was cut short or written anew."""
    from app.audit import newest

    line = newest(load())
    if out is None:
        typer.echo(line)
    else:
        out.write_text(line + "\n")


@metrics.command("rebuild")
def metrics_rebuild() -> None:
    """Count everything again from the events, beside a server that goes on counting."""
    from app.metrics import rebuild

    rebuilt = rebuild(load())
    typer.echo(f"Counted {rebuilt.bookings} bookings and {rebuilt.matches} matches again.")


@match.command("replay")
def match_replay(match_id: Annotated[str, typer.Argument(help="The match's id.")]) -> None:
    """Rank a match's stored features again, and say whether the order is the one that was shown."""
    from app.match_replay import replay

    replayed = replay(load(), match_id)
    for line in replayed.lines:
        typer.echo(line)
    if not replayed.same:
        raise SettingsError("The order is not the one that was shown.")
    typer.echo(
        f"The order is the one that was shown: {len(replayed.lines)} ranked, {replayed.swaps} swapped."
    )


@job.command("list")
def job_list() -> None:
    """Show the jobs that gave up, newest first."""
    from app.dead_letters import listed

    for line in listed(load(), jobs_only=True) or ["No job gave up."]:
        typer.echo(line)


@job.command("again")
def job_again(job_id: Annotated[str, typer.Argument(help="The job's id, as `job list` shows it.")]) -> None:
    """Let a job that gave up run again."""
    from app.dead_letters import again

    again(load(), job_id)
    typer.echo("It runs again as soon as a server does.")


@retention.command("run")
def retention_run(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what a first batch would take away, and change nothing.")
    ] = False,
) -> None:
    """Take away what is past its time: old work lists and stories, days of positions."""
    from app.retention import run

    gone = run(load(), dry=dry_run)
    for kind, rows in gone.items():
        typer.echo(f"{kind}: {rows} {'would go' if dry_run else 'gone'}")
    if not gone:
        typer.echo("Nothing is past its time.")


@dead_letter.command("list")
def dead_letter_list() -> None:
    """Show what nobody could do, of subscribers and of jobs, newest first."""
    from app.dead_letters import listed

    for line in listed(load()) or ["There are no dead letters."]:
        typer.echo(line)


@dead_letter.command("replay")
def dead_letter_replay(
    dead_letter_id: Annotated[str, typer.Argument(help="Its id, as `dead-letter list` shows it.")],
) -> None:
    """Let a dead letter try again: an event at once, a job as soon as a server runs."""
    from app.dead_letters import replay

    typer.echo(replay(load(), dead_letter_id))


@app.command(rich_help_panel="Look after")
def doctor() -> None:
    """Look at everything that Doorstep needs, and say what to do about what is wrong."""
    from app.doctor import findings

    console = Console(highlight=False)
    marks = {"good": "[green]✓[/green]", "note": "[yellow]•[/yellow]", "bad": "[red]✗[/red]"}
    found = asyncio.run(findings(load()))
    for finding in found:
        console.print(
            f" {marks[finding.grade]} [bold]{finding.subject:<12}[/bold] {escape(finding.seen)}",
            soft_wrap=True,
        )
        if finding.advice:
            console.print(f"   {'':<12} [dim]{escape(finding.advice)}[/dim]", soft_wrap=True)
    if any(finding.grade == "bad" for finding in found):
        raise typer.Exit(1)


@app.command(rich_help_panel="Look after")
def loadtest(
    scenario: Annotated[str, typer.Argument(help="What to run: arrivals.")],
    url: Annotated[str, typer.Option(help="The server, as http://127.0.0.1:8080.")],
    phones: Annotated[int, typer.Option(min=1, max=500, help="Simulated technicians.")] = 3,
    first: Annotated[int, typer.Option(min=1, help="Number of the first simulated account to use.")] = 58,
    seconds: Annotated[float, typer.Option(min=1, help="How long.")] = 90.0,
    password: Annotated[
        str, typer.Option(envvar="DOORSTEP_SIM_PASSWORD", help="Of the simulated accounts.")
    ] = "doorstep-demo",  # noqa: S107 - published in the README; these accounts exist in the demo only
) -> None:
    """Let simulated phones and customers use a server for a while, and judge how it went."""
    import orjson

    from loadtest.scenarios import SCENARIOS, Ask

    if scenario not in SCENARIOS:
        raise typer.BadParameter(
            f"there is no scenario {scenario!r}; there are: {', '.join(sorted(SCENARIOS))}"
        )
    verdict = asyncio.run(SCENARIOS[scenario](Ask(url, password, phones, first, seconds)))
    typer.echo(orjson.dumps(verdict.numbers, option=orjson.OPT_INDENT_2).decode())
    for reason in verdict.reasons:
        typer.echo(f"It did not hold: {reason}.", err=True)
    if not verdict.held:
        raise typer.Exit(1)


@app.command("export-openapi", rich_help_panel="Look after")
def export_openapi(
    file: Annotated[Path | None, typer.Argument(help="Where to write it; nothing: stdout.")] = None,
) -> None:
    """Write the OpenAPI 3.1 document."""
    from importlib.metadata import version

    import orjson

    from rest.api import routes
    from rest.openapi import document

    made = orjson.dumps(document(routes(), version("doorstep")), option=orjson.OPT_INDENT_2).decode()
    if file is None:
        typer.echo(made)
    else:
        file.write_text(made + "\n")


def main() -> None:
    """Run the command line; turn what we know can go wrong into sentences."""
    from app import logging
    from app.serving import ends

    logging.configure("warning", stream=sys.stderr)  # masked; structlog by itself shows every variable
    for number in ends():
        signal.signal(number, _terminated)
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        from app.sentences import sentence_of

        sentence = sentence_of(error)
        if sentence is None:
            raise
        Console(stderr=True, highlight=False).print(
            f"[red]doorstep:[/red] {escape(sentence)}", soft_wrap=True
        )
        sys.exit(1)


def _terminated(number: int, _frame: FrameType | None) -> None:
    """Make SIGTERM and a closed terminal unwind like Ctrl-C, so that everything that was started is ended."""
    sys.exit(128 + number)


if __name__ == "__main__":
    main()
