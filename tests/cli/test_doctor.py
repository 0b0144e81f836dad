"""The verb as a user meets it: exit codes, one screen, JSON, and over a real ssh."""

from __future__ import annotations

import io
import json
from pathlib import Path

import jsonschema
import pytest

from kautopsy.arming.check import QUESTIONS
from kautopsy.arming.doctor import questions
from kautopsy.cli.main import main
from kautopsy.model.readiness import Check, CheckStatus, DoctorDocument
from kautopsy.report.doctor import first_thing, print_doctor

ROOT = Path(__file__).parents[2]


def _tree(root: Path, crashkernel: str) -> None:
    files = {
        "etc/os-release": "ID=rocky\nID_LIKE=rhel\nVERSION_ID=9.4\n",
        "lib/modules/5.14.0-1.el9.x86_64/modules.dep": "",
        "boot/grub2/grub.cfg": "blscfg\n",
        "boot/loader/entries/a.conf": "title \x1b]0;evil\x07\nlinux /v\n"
        f"options ro {crashkernel}\n",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def test_json_and_the_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _tree(tmp_path, "")
    assert main(["doctor", f"tree:{tmp_path}", "--json"]) == 1
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    schema = json.loads((ROOT / "docs/schema/doctor-1.json").read_text())
    jsonschema.validate(document, schema)
    assert document["schema"] == "kautopsy.doctor/1"
    assert document["ready"] is False
    assert captured.err == ""
    assert {check["id"] for check in document["checks"]} == set(QUESTIONS)


def test_one_screen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _tree(tmp_path, "")
    assert main(["doctor", f"tree:{tmp_path}"]) == 1
    text = capsys.readouterr().out
    assert text.startswith(f"tree:{tmp_path}: NOT ready: ")
    assert "fix: grubby --update-kernel=ALL --args=crashkernel=" in text
    assert "\x1b]0" not in text and "\\x1b]0;evil" in text
    assert len(text.splitlines()) < 40


def test_a_machine_that_cannot_be_named_or_reached(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", f"tree:{tmp_path}/none"]) == 2
    assert main(["doctor", "-o", "ConnectTimeout=2", "-o", "Port=1", "127.0.0.1"]) == 4
    complaint = capsys.readouterr().err
    assert "no-tree" in complaint
    assert "unreachable: 127.0.0.1: ssh: " in complaint
    assert "Traceback" not in complaint


def _check(status: CheckStatus, **more: str) -> Check:
    return Check(id=f"a-{status.value}", status=status, summary=f"it is {status.value}", **more)


def test_what_is_said_first() -> None:
    def shown(ready: bool | None, *checks: Check) -> list[str]:
        out = io.StringIO()
        print_doctor(DoctorDocument(ready=ready, checks=checks), "db1", file=out)
        return out.getvalue().splitlines()

    bad = _check(CheckStatus.FAIL, fix="mend it", evidence="seen")
    odd = _check(CheckStatus.UNKNOWN, fix="be root")
    fine = _check(CheckStatus.PASS)
    assert shown(False, bad, fine) == [
        "db1: NOT ready: it is fail",
        "first: mend it",
        "✗ a-fail: it is fail",
        "    seen",
        "    fix: mend it",
        "✓ 1 fine: a-pass",
    ]
    assert shown(None, odd)[:2] == [
        "db1: nobody can tell whether it will leave a dump",
        "first: be root",
    ]
    assert shown(True, fine, odd)[0] == "db1: ready to leave a dump"
    assert first_thing(DoctorDocument(ready=True, checks=(odd,))) == ""


def test_the_manual_names_every_check() -> None:
    manual = (ROOT / "docs/doctor.md").read_text()
    assert [q.id for q in questions() if f"- `{q.id}`: " not in manual] == []
