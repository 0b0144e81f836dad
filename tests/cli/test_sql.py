"""``kautopsy sql`` and ``kautopsy snapshot``: what is printed, and what is refused."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from kautopsy.cli._sql_output import print_result
from kautopsy.cli.main import main
from kautopsy.model.errors import ExitCode
from kautopsy.shell.sql import Result

HOSTILE = 'a\x1b]0;owned\x07 <script>,"x"\n'
RESULT = Result(
    columns=("address", "n", "comm", "why", "n"),
    types=("UBIGINT", "BIGINT", "VARCHAR", "MAP(VARCHAR, VARCHAR)", "HUGEINT"),
    rows=(
        (0xFFFF_8880_0000_0010, 1, HOSTILE, {"rss": "gone"}, 1 << 70),
        (None, -22, "plain", None, 3),
    ),
    truncated=False,
)


def printed(capsys: pytest.CaptureFixture[str], kind: str) -> str:
    print_result(RESULT, ["a: note"], kind, None)
    return capsys.readouterr().out


def test_a_table_shows_addresses_in_hexadecimal_and_no_control_characters(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = printed(capsys, "table")
    assert "0xffff888000000010" in text
    assert "rss: gone" in text
    assert "NULL" in text
    assert "\x1b" not in text and "\x07" not in text
    assert text.endswith("(2 rows)\n")
    assert len(text.splitlines()) == 5


def test_csv_can_be_read_back(capsys: pytest.CaptureFixture[str]) -> None:
    rows = list(csv.reader(io.StringIO(printed(capsys, "csv"))))
    assert rows[0] == ["address", "n", "comm", "why", "n"]
    assert rows[1][2] == HOSTILE
    assert rows[2] == ["", "-22", "plain", "", "3"]


def test_json_keeps_columns_of_the_same_name_and_notes(capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads(printed(capsys, "json"))
    assert document["schema"] == "kautopsy.sql/1"
    assert document["notes"] == ["a: note"]
    assert document["rows"][0] == {
        "address": 0xFFFF_8880_0000_0010,
        "n": 1,
        "comm": HOSTILE,
        "why": {"rss": "gone"},
        "n_2": str(1 << 70),
    }


def test_the_schema_names_every_table_with_units(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sql", "--schema", "--json"]) == ExitCode.OK
    document = json.loads(capsys.readouterr().out)
    tables = {table["name"]: table for table in document["tables"]}
    assert {"dumps", "tasks", "open_files", "locks", "block_requests"} <= tables.keys()
    columns = {column["name"]: column for column in tables["tasks"]["columns"]}
    assert columns["dump"]["type"] == "VARCHAR"
    assert (columns["address"]["type"], columns["address"]["unit"]) == ("UBIGINT", "address")
    assert columns["idle"]["unit"] == "ns"
    assert main(["sql", "--schema"]) == ExitCode.OK
    assert "blocked_tasks (view)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        ([], ExitCode.USAGE, "a dump and a query"),
        (["select 1"], ExitCode.USAGE, "a dump and a query"),
        (["--schema", "x"], ExitCode.USAGE, "--schema"),
        (["missing", "select 1"], ExitCode.UNREADABLE, "no-such-file"),
        (["{log}", "select 1"], ExitCode.USAGE, "no dump"),
        (["{junk}", "select count(*) from tasks"], ExitCode.UNREADABLE, "junk"),
        (["{log}", "select 1", "--format", "parquet"], ExitCode.USAGE, "--out"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str],
    code: ExitCode,
    word: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "log").write_text("Linux version 6.1\n")
    (tmp_path / "junk").write_bytes(b"KDUMP   " + bytes(4096))
    filled = [one.format(log=tmp_path / "log", junk=tmp_path / "junk") for one in arguments]
    assert main(["sql", *filled]) == code
    error = capsys.readouterr().err
    assert word in error
    assert error.count("\n") == 1


def test_a_snapshot_overwrites_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "vmcore").write_bytes(b"KDUMP   " + bytes(4096))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious").touch()
    assert main(["snapshot", str(tmp_path / "vmcore"), "--out", str(tmp_path / "out")]) == 2
    assert "would-overwrite" in capsys.readouterr().err
    assert main(["snapshot", str(tmp_path / "vmcore"), "--out", str(tmp_path / "new")]) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "vmcore"]
