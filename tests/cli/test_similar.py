import json
import sys
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest

from kautopsy.cli.main import main
from kautopsy.model.errors import ExitCode

OOPS = """\
[   12.345678] BUG: kernel NULL pointer dereference, address: 0000000000000008
[   12.345679] #PF: supervisor read access in kernel mode
[   12.345680] Oops: 0000 [#1] PREEMPT SMP PTI
[   12.345681] CPU: 1 PID: 4242 Comm: backup Not tainted 6.1.0-13-amd64 #1  Debian 6.1.55-1
[   12.345682] RIP: 0010:{function}+0x1c/0x60 [{module}]
[   12.345683] Code: 48 8b 47 10 <48> 8b 40 08 c3
[   12.345684] Call Trace:
[   12.345685]  <TASK>
[   12.345686]  {module}_release+0x2a/0x80 [{module}]
[   12.345687]  {module}_shutdown+0x11/0x40 [{module}]
[   12.345688]  __fput+0x91/0x250
[   12.345689]  task_work_run+0x59/0x90
[   12.345690]  do_syscall_64+0x58/0xc0
[   12.345691]  entry_SYSCALL_64_after_hwframe+0x64/0xce
[   12.345692]  </TASK>
[   12.345693] Modules linked in: {module}
[   12.345694] ---[ end trace 0000000000000000 ]---
"""


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "corpus"
    folder.mkdir()
    for name, function, module in (
        ("same", "tape_flush", "tape"),
        ("near", "tape_rewind", "tape"),
        ("far", "fan_poll", "fan"),
    ):
        (folder / f"{name}.log").write_text(OOPS.format(function=function, module=module))
    return folder


def ask(*arguments: str, capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    assert main(["similar", *arguments, "--json"]) == ExitCode.OK
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "kautopsy.similar/1"
    matches: list[dict[str, object]] = document["matches"]
    return matches


def test_a_log_finds_its_like(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "new.log"
    # The same crash of another boot: other times, process, addresses of no importance.
    text = OOPS.format(function="tape_flush", module="tape")
    log.write_text(text.replace("12.3", "99.9").replace("4242", "17").replace("backup", "cron"))
    matches = ask(str(log), "--corpus", str(corpus), capsys=capsys)
    assert [match["id"] for match in matches] == ["same", "near", "far"]
    why = matches[0]["why"]
    assert isinstance(why, list)
    assert why[0] == "same exact fingerprint"
    assert any("tape_flush" in reason for reason in why)
    assert "same exact fingerprint" not in str(matches[1:])
    assert len(ask(str(log), "--corpus", str(corpus), "--limit", "1", capsys=capsys)) == 1


def test_standard_input_and_documents_and_json_lines(
    corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = tmp_path / "corpus.jsonl"
    rows = [{"id": f"x/{p.stem}", "log": p.read_text()} for p in sorted(corpus.iterdir())]
    lines.write_text("\n".join(map(json.dumps, rows)))
    log = (corpus / "same.log").read_bytes()
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(log)))
    from_log = ask("-", "--corpus", str(lines), capsys=capsys)
    assert from_log[0]["id"] == "x/same"
    frames = [{"function": "tape_rewind", "module": "tape"}, {"function": "tape_release"}]
    document = {
        "schema": "kautopsy.report/1",
        "crash": {"kind": "null-dereference", "title": "?", "frames": frames},
    }
    (tmp_path / "report.json").write_text(json.dumps(document))
    from_report = ask(str(tmp_path / "report.json"), "--corpus", str(lines), capsys=capsys)
    assert from_report[0]["id"] == "x/near"


def test_what_cannot_be_asked_is_said(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").write_text(" \n")
    (tmp_path / "nothing").mkdir()
    (tmp_path / "vmcore").write_bytes(b"KDUMP   " + bytes(4096))
    log = str(corpus / "same.log")
    for arguments in (
        [str(tmp_path / "empty"), "--corpus", str(corpus)],
        [log, "--corpus", str(tmp_path / "nothing")],
        [log, "--corpus", str(tmp_path / "absent")],
        [str(tmp_path / "absent"), "--corpus", str(corpus)],
        [str(tmp_path / "vmcore"), "--corpus", str(corpus)],
    ):
        assert main(["similar", *arguments]) == ExitCode.UNREADABLE
        assert capsys.readouterr().err.splitlines()[-1].startswith("kautopsy: ")
    with pytest.raises(SystemExit):
        main(["similar", log, "--corpus", str(corpus), "--limit", "0"])
