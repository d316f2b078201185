"""What stays on the demo's screen."""

from rich.console import Console

from app.demo_screen import LiveScreen
from app.postgresql import DISK_FULL


def test_trouble_of_postgresql_stays_until_it_is_over() -> None:
    """The phones' next status does not wipe it away."""
    screen, console = LiveScreen(), Console(width=120)
    screen.up("http://127.0.0.1:8080", "")

    def shown() -> bool:
        with console.capture() as captured:
            console.print(screen)
        return DISK_FULL in captured.get()

    screen.database(DISK_FULL)
    screen.status({"technicians": {"idle": 3}})
    assert shown()
    screen.database("")
    assert not shown()
