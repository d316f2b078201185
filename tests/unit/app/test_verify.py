"""What `doorstep verify` prints: whole lines for programs, a column of sentences on a terminal."""

from app.verify import lines
from services.verification import Finding

FOUND = [
    Finding("time held", "an open booking holds its technician's time, and nothing else does", 1234, 0, ()),
    Finding(
        "audit chain", "each decision's hash covers the one before it", 9, 2, ("Decision 7 was changed.",)
    ),
]


def test_a_terminal_gets_its_sentences_in_one_column() -> None:
    """No line is wider than the terminal, what goes on stands under its beginning, and no word is lost."""
    printed = list(lines(FOUND, 60))
    assert max(map(len, printed)) <= 60
    column = printed[0].index("an open")
    assert printed[1][:column].isspace()
    assert " ".join(" ".join(printed).split()) == " ".join(" ".join(lines(FOUND)).split())


def test_a_program_gets_a_line_for_each_rule() -> None:
    """Without a terminal nothing is wrapped, and what breaks a rule stands below it."""
    assert [line[:3] for line in lines(FOUND)] == [" ✓ ", " ✗ ", "   ", "   "]
