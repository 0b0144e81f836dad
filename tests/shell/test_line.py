import pytest

from kautopsy.shell.errors import CommandError
from kautopsy.shell.line import Line, parse, split


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bt -a", Line("bt", "-a")),
        ("  ps -m | head -3", Line("ps", "-m", pipeline="head -3")),
        ("log > /tmp/a b", None),
        ("log >> out", Line("log", "", file="out", append=True)),
        ("log>out", Line("log", "", file="out")),
        ("p (1 << 4) | cat", Line("p", "(1 << 4)", pipeline="cat")),
        ("p a->b > f", Line("p", "a->b", file="f")),
        ('search -c "a|b"', Line("search", '-c "a|b"')),
        ("ps 'sh|init' | wc", Line("ps", "'sh|init'", pipeline="wc")),
        ("*task_struct.pid ffff", Line("*", "task_struct.pid ffff")),
        ("!ls -l", Line("!", "ls -l")),
        ("< commands", Line("<", "commands")),
    ],
)
def test_lines(text: str, expected: Line | None) -> None:
    if expected is None:
        with pytest.raises(CommandError):
            parse(text)
    else:
        assert parse(text) == expected


@pytest.mark.parametrize("text", ["", "   ", "# a comment"])
def test_nothing_to_run(text: str) -> None:
    assert parse(text) is None


@pytest.mark.parametrize("text", ["bt |", "> file", "| head"])
def test_halves_are_refused(text: str) -> None:
    with pytest.raises(CommandError):
        parse(text)


def test_words_keep_backslashes_and_lose_quotes() -> None:
    assert split("a 'b c' \"d\" \\e ''") == ["a", "b c", "d", "\\e", ""]
    with pytest.raises(CommandError, match="not closed"):
        split("a 'b")
