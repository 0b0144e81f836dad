from pathlib import Path

from kautopsy.shell.manual import manual

DOCS = Path(__file__).parents[2] / "docs"


def test_the_manual_is_up_to_date() -> None:
    # python -m kautopsy.shell.manual > docs/shell.md
    assert (DOCS / "shell.md").read_text() == manual()
