"""`kautopsy oops` as a user runs it."""

import io
import json
import sys
from pathlib import Path

import jsonschema
import pytest

from kautopsy.cli.main import main
from kautopsy.model.errors import ExitCode

CASES = Path(__file__).parents[1] / "oops" / "cases"
SCHEMA = Path(__file__).parents[2] / "docs" / "schema" / "oops-1.json"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "console.log"
    path.write_text((CASES / "netoops-el5-bio-error.txt").read_text().partition("\n\n")[2])
    return path


@pytest.fixture
def quiet(tmp_path: Path) -> Path:
    path = tmp_path / "quiet.log"
    path.write_text("[    1.000000] usb 1-1: all is well\n")
    return path


def test_what_an_engineer_wants_at_night(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["oops", str(log)]) == ExitCode.OK
    out = capsys.readouterr().out
    assert out.startswith("BUG: unable to handle kernel NULL pointer dereference in netoops\n")
    for part in (
        "null-dereference, trigger oops",
        "2017-04-08 03:34:51",
        "sh (pid 21606)",
        "2.6.32-358.23.2.lab1.el5.x86_64",
        "F: a module was loaded by force",
        "netoops+0x125/0x2a0",
        "bio_endio+0x12a/0x1b0",
        "? wait_for_rqlock+0x24/0x40",
    ):
        assert part in out


def test_json_follows_its_schema(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["oops", "--json", str(log)]) == ExitCode.OK
    document = json.loads(capsys.readouterr().out)
    jsonschema.validate(document, json.loads(SCHEMA.read_text()))
    (crash,) = document["crashes"]
    assert crash["instruction"]["function"] == "netoops"
    assert crash["fingerprint"]["exact"]


def test_jsonl_is_a_line_a_file(log: Path, quiet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["oops", "--jsonl", str(log), str(quiet)]) == ExitCode.OK
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["file"] for line in lines] == [str(log), str(quiet)]
    assert [len(line["crashes"]) for line in lines] == [1, 0]


def test_check_tells_by_its_exit_code(log: Path, quiet: Path) -> None:
    assert main(["oops", "--check", str(quiet)]) == ExitCode.OK
    assert main(["oops", "--check", str(quiet), str(log)]) == ExitCode.BAD


def test_standard_input(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(log.read_bytes())))
    assert main(["oops", "--check"]) == ExitCode.BAD


def test_escape_sequences_stay_on_paper(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "hostile.log"
    log.write_bytes(
        b"[    1.000000] BUG: unable to handle kernel NULL pointer dereference at 0000\n"
        b"[    1.000000] CPU: 0 PID: 1 Comm: \x1b]0;owned\x07 Not tainted 5.0.0 #1\n"
        b"[    1.000000] Hardware name: \xe2\x80\xaeevil\n"
    )
    assert main(["oops", "--registers", "--code", str(log)]) == ExitCode.OK
    out = capsys.readouterr().out
    assert "\x1b]" not in out
    assert "\u202e" not in out
    assert "\x07" not in out


def test_registers_and_code_on_demand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "a.log"
    log.write_text((CASES / "arm64-null.txt").read_text().partition("\n\n")[2])
    assert main(["oops", "--registers", "--code", "--modules-loaded", str(log)]) == ExitCode.OK
    out = capsys.readouterr().out
    assert "x29 ffff80008290b8b0" in out
    assert "=>" in out
    assert "widget ipv6" in out


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["oops", "/nonexistent/console.log"], ExitCode.UNREADABLE),
        (["oops", "--json", "a", "b"], ExitCode.USAGE),
        (["oops", "--modules", "/tmp", "a"], ExitCode.USAGE),
        (["oops", "--vmlinux", "/nonexistent/vmlinux", "a"], ExitCode.UNREADABLE),
    ],
)
def test_bad_input_is_one_clear_line(
    arguments: list[str], code: ExitCode, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == code
    complaint = capsys.readouterr().err
    assert complaint.startswith("kautopsy: ")
    assert complaint.count("\n") == 1


def test_annotate_wants_a_kernel(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["oops", "--annotate", str(log)]) == ExitCode.UNREADABLE
    assert "no-debuginfo" in capsys.readouterr().err
