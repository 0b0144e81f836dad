"""`kautopsy arm` and `disarm` as a user types them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
from tests.arming.trees import TREES, state_of, write

from kautopsy.cli.main import main

_SCHEMA = Path(__file__).parents[2] / "docs/schema/plan-1.json"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    TREES["el9"](root, "")
    return root


def test_the_plan_as_json(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["arm", f"tree:{tree}", "--crashkernel", "256M", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    jsonschema.validate(document, json.loads(_SCHEMA.read_text()))
    assert document["schema"] == "kautopsy.plan/1"
    assert document["reboot"] is True
    step = next(s for s in document["steps"] if s["file"] == "/etc/kernel/cmdline")
    assert step["diff"] == (
        "--- a/etc/kernel/cmdline\n+++ b/etc/kernel/cmdline\n@@ -1 +1 @@\n"
        "-root=/dev/sda3 ro \n+root=/dev/sda3 ro crashkernel=256M \n"
    )
    assert step["undo"] == "restore /etc/kernel/cmdline"
    assert step["command"] is None


def test_nobody_is_changed_without_an_answer(
    tree: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = state_of(tree)
    done = subprocess.run(
        [sys.executable, "-m", "kautopsy.cli.main", "arm", f"tree:{tree}", "--apply"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "needs an answer" in done.stderr
    assert state_of(tree) == before


def test_flags_reach_the_files(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        "--crashkernel", "512M,high 128M,low", "--target", "ssh://kdump@vault/dumps",
        "--collector", "makedumpfile -l -d 31", "--sysctl", "kernel.panic=33",
        "--sysctl", "kernel.sysrq=",
    ]  # fmt: skip
    assert main(["arm", f"tree:{tree}", "--apply", "--yes", *arguments]) == 0
    cmdline = (tree / "etc/kernel/cmdline").read_text()
    assert cmdline.split()[2:] == ["crashkernel=512M,high", "crashkernel=128M,low"]
    conf = (tree / "etc/kdump.conf").read_text()
    assert "ssh kdump@vault\n" in conf
    assert "path /dumps\n" in conf
    # Through a pipe, makedumpfile needs -F.
    assert "core_collector makedumpfile -F -l -d 31\n" in conf
    values = (tree / "etc/sysctl.d/zz-kautopsy.conf").read_text()
    assert "kernel.panic = 33\n" in values
    assert "sysrq" not in values
    assert main(["disarm", f"tree:{tree}", "--yes"]) == 0


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("debian12", ["--target", "nfs://s/export"], ['NFS="s:/export"']),
        ("debian12", ["--target", "ssh://k@s/d"], ['SSH="k@s"', 'KDUMP_COREDIR="/d"']),
        ("debian12", ["--collector", "makedumpfile -z -d 17"], ['MAKEDUMP_ARGS="-z -d 17"']),
        ("suse", ["--target", "nfs://s/export"], ['KDUMP_SAVEDIR="nfs://s/export"']),
        ("suse", ["--target", "/srv/dumps"], ['KDUMP_SAVEDIR="file:///srv/dumps"']),
        (
            "suse",
            ["--collector", "makedumpfile -c -d 17"],
            ['KDUMP_DUMPFORMAT="compressed"', 'KDUMP_DUMPLEVEL="17"'],
        ),
        ("el7", ["--target", "nfs://s/export"], ["nfs s:/export", "path /"]),
    ],
)
def test_targets_and_collectors(
    name: str, arguments: list[str], expected: list[str], tmp_path: Path
) -> None:
    TREES[name](tmp_path, "crashkernel=512M")
    assert main(["arm", f"tree:{tmp_path}", "--apply", "--yes", *arguments]) == 0
    paths = ("etc/kdump.conf", "etc/default/kdump-tools", "etc/sysconfig/kdump")
    lines = [
        line
        for path in paths
        if (tmp_path / path).exists()
        for line in (tmp_path / path).read_text().splitlines()
    ]
    for line in expected:
        assert line in lines


def test_what_is_refused(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["arm", f"tree:{tree}", "--crashkernel", "much"]) == 2
    assert main(["arm", f"tree:{tree}", "--sysctl", "kernel.watchdog_thresh=0"]) == 5
    assert "policy-conflict" in capsys.readouterr().err
    write(tree, {".dockerenv": ""})
    assert main(["arm", f"tree:{tree}"]) == 5
    assert "kautopsy: container: " in capsys.readouterr().err


def test_an_unknown_distribution(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, {"etc/hostname": "box\n"})
    before = state_of(tmp_path)
    assert main(["arm", f"tree:{tmp_path}"]) == 0
    assert "by hand: add crashkernel=" in capsys.readouterr().out
    assert main(["arm", f"tree:{tmp_path}", "--apply", "--yes"]) == 5
    assert state_of(tmp_path) == before


def test_disarming_what_was_never_armed(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = state_of(tree)
    assert main(["disarm", f"tree:{tree}"]) == 0
    assert "nothing was armed here" in capsys.readouterr().out
    assert state_of(tree) == before


def test_what_changed_since_is_told(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["arm", f"tree:{tree}", "--apply", "--yes"]) == 0
    cmdline = tree / "etc/kernel/cmdline"
    cmdline.write_text(cmdline.read_text().replace("ro", "rw"))
    assert main(["disarm", f"tree:{tree}", "--yes"]) == 1
    assert "changed since, left alone: /etc/kernel/cmdline" in capsys.readouterr().out
    assert "rw" in cmdline.read_text()
    assert main(["disarm", f"tree:{tree}", "--yes", "--force"]) == 0
    assert cmdline.read_text() == "root=/dev/sda3 ro \n"


def test_a_journal_of_a_newer_kautopsy(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tree, {"var/lib/kautopsy/arm/journal.json": '{"schema": "kautopsy.journal/9"}'})
    before = state_of(tree)
    assert main(["disarm", f"tree:{tree}", "--yes"]) == 3
    assert main(["arm", f"tree:{tree}", "--apply", "--yes"]) == 3
    assert "bad-journal" in capsys.readouterr().err
    assert state_of(tree) == before
