"""kautopsy report: what it takes, where it writes, and what it refuses."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from kautopsy.cli.main import main
from kautopsy.model.base import Unreadable, from_json
from kautopsy.model.crash import Crash, Kind
from kautopsy.model.dump import DumpFile, DumpFormat
from kautopsy.model.errors import ExitCode
from kautopsy.model.finding import Verdict
from kautopsy.model.report import Report, Symbols, SymbolSource, System
from kautopsy.triage.target import Target

OOPS = """\
[  431.100001] BUG: kernel NULL pointer dereference, address: 0000000000000010
[  431.100405] Oops: 0000 [#1] PREEMPT SMP NOPTI
[  431.100506] CPU: 1 PID: 990 Comm: aud<b>\x1b[2J Not tainted 6.1.0-56-cloud-amd64 #1
[  431.100708] RIP: 0010:ledger_audit+0x14/0x60 [ledger]
[  431.101112] Call Trace:
[  431.101314]  ledger_write+0x3c/0x70 [ledger]
[  431.101415]  vfs_write+0xc7/0x3f0
[  431.102021] ---[ end trace 0000000000000000 ]---
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "console"
    path.write_text(OOPS)
    return path


def test_text_ends_with_the_verdict(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(log)]) == ExitCode.OK
    out, err = capsys.readouterr()
    assert err == ""
    assert "ledger_audit" in out.split("VERDICT")[1]
    assert "\x1b" not in out


def test_the_header_is_printed_while_the_analysis_is_at_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[str] = []
    lost = Unreadable("not in the dump")

    def analyse(path: Path, **_: object) -> Iterator[Report]:
        report = Report(
            dump=DumpFile(path=str(path), format=DumpFormat.ELF, complete=True),
            symbols=Symbols(source=SymbolSource.BTF),
            system=msgspec.convert(dict.fromkeys(System.__struct_fields__, lost), System),
            crash=None,
        )
        yield report
        seen.append(capsys.readouterr().out)
        report = msgspec.structs.replace(report, crash=Crash(kind=Kind.PANIC, title="died"))
        yield report
        seen.append(capsys.readouterr().out)
        yield msgspec.structs.replace(
            report, verdict=Verdict(kind=Kind.PANIC, title="died", confidence=0.9, key="panic")
        )

    dump = tmp_path / "vmcore"
    monkeypatch.setattr("kautopsy.triage.target.find_target", lambda _: Target(dump))
    monkeypatch.setattr("kautopsy.triage.isolation.analyse", analyse)
    assert main(["report", str(dump)]) == ExitCode.OK
    header, crash = seen
    assert f"DUMPFILE: {dump}" in header and "BACKTRACE" not in header
    assert "BACKTRACE" in crash and "VERDICT" not in crash
    assert "VERDICT" in capsys.readouterr().out


def test_json_of_a_log(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(log), "--json"]) == ExitCode.OK
    out = capsys.readouterr().out
    document = json.loads(out)
    assert document["schema"] == "kautopsy.report/1"
    assert document["dump"] is None and document["system"] is None
    assert document["crash"]["kind"] == document["verdict"]["kind"] == "null-dereference"
    assert from_json(out, Report).log_file == str(log)


def test_files_are_written_beside_the_text(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    html, markdown = tmp_path / "r.html", tmp_path / "r.md"
    assert main(["report", str(log), "--html", str(html), "--markdown", str(markdown)]) == 0
    out, err = capsys.readouterr()
    assert "VERDICT" in out
    assert err == f"wrote {html}\nwrote {markdown}\n"
    page = html.read_text()
    assert page.startswith("<!doctype html>\n") and page.endswith("</html>\n")
    assert "<b>\x1b" not in page and "aud<b>" not in page
    assert markdown.read_text().startswith("# null-dereference: ")


@pytest.mark.parametrize("option", [["--markdown"], ["--markdown", "-"], ["--html", "-"]])
def test_stdout_holds_one_document(
    log: Path, option: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(log), *option]) == ExitCode.OK
    out = capsys.readouterr().out
    assert out.startswith("<!doctype html>" if "--html" in option else "# null-dereference")
    assert "VERDICT" not in out


def test_a_directory_says_what_it_chose(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(tmp_path)]) == ExitCode.OK
    out, err = capsys.readouterr()
    assert "no dump in" in err
    assert f"LOG: {log}" in out


@pytest.mark.parametrize(
    ("options", "slug", "code"),
    [
        (["--json", "--markdown", "-"], "usage", ExitCode.USAGE),
        (["--html", "-", "--markdown", "-"], "usage", ExitCode.USAGE),
        (["--html", "{tmp}/a", "--markdown", "{tmp}/a"], "usage", ExitCode.USAGE),
        (["--html", "{tmp}"], "cannot-write", ExitCode.USAGE),
        (["--html", "{tmp}/no/such/r.html"], "cannot-write", ExitCode.USAGE),
        (["--html", "{tmp}/core"], "would-overwrite", ExitCode.USAGE),
        (["--html", "{tmp}/console"], "would-overwrite", ExitCode.USAGE),
        (["--source-url", "javascript:{{file}}"], "bad-source-url", ExitCode.USAGE),
        (["--vmlinux", "{tmp}/core"], "usage", ExitCode.USAGE),
    ],
)
def test_what_makes_no_sense_is_refused(
    log: Path, tmp_path: Path, options: list[str], slug: str, code: ExitCode,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    core = tmp_path / "core"
    core.write_bytes(b"KDUMP   and more")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    done = main(["report", str(log), *(option.format(tmp=tmp_path) for option in options)])
    err = capsys.readouterr().err
    assert (done, err.split(": ")[1]) == (code, slug), err
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("content", "slug"),
    [(None, "no-such-file"), (b"", "empty-file"), (b"\0\1\2\3" * 100, "not-a-dump"),
     (b"\x1f\x8b" + b"\0" * 99, "not-a-dump")],
)  # fmt: skip
def test_input_that_cannot_be_read(
    tmp_path: Path, content: bytes | None, slug: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "vmcore"
    if content is not None:
        path.write_bytes(content)
    assert main(["report", str(path), "--html", str(tmp_path / "r.html")]) == ExitCode.UNREADABLE
    assert f"kautopsy: {slug}: " in capsys.readouterr().err
    assert not (tmp_path / "r.html").exists()


def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/\xff\xfe"
    with open(path, "wb") as file:  # noqa: PTH123 - pathlib would do, but bytes are the point
        file.write(OOPS.encode())
    done = subprocess.run(
        [sys.executable, "-m", "kautopsy", "report", path, "--json"],
        capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == ExitCode.UNREADABLE
    assert done.stderr.startswith(b"kautopsy: bad-name: ")
