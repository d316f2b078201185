"""The examples of docs/protocol.md are messages that the doors take and send."""

import json
import re
from pathlib import Path

import pytest

from realtime import messages
from realtime.messages import FixItem

PAGE = (Path(__file__).parents[3] / "docs" / "protocol.md").read_text()
EXAMPLES = re.findall(r"<!-- model: (\w+) -->\n```json\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize(("model", "example"), EXAMPLES, ids=[name for name, _ in EXAMPLES])
def test_example(model: str, example: str) -> None:
    """Each example is valid JSON of its model, in every field."""
    parsed = json.loads(example)
    getattr(messages, model).model_validate(parsed)
    for fix in parsed.get("fixes", []):
        FixItem.model_validate(fix)


def test_every_json_block_is_checked() -> None:
    """No JSON on the page goes without a model."""
    assert PAGE.count("```json") == len(EXAMPLES) > 15
