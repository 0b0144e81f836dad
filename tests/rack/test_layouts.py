"""What each distribution's kdump leaves, as directories: chosen, verified and brought home."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.dump.test_header import write_kdump
from tests.rack.samples import flatten

from kautopsy.capture.layouts import captures
from kautopsy.capture.listing import list_captures
from kautopsy.cli.main import main
from kautopsy.host.tree import TreeHost
from kautopsy.model.capture import Capture, CaptureState, Producer

PANIC = "[   98.000001] Kernel panic - not syncing: sysrq triggered crash\n"
_README = """\
Kernel crashdump
----------------
dmesg status: saved successfully
vmcore status: {status}
Kernel version: 6.4.0-150600.23-default
Dump time: 2026-11-26T09:14:03
"""


def write(root: Path, name: str, contents: str | bytes) -> Path:
    path = root / name.lstrip("/")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(contents if isinstance(contents, bytes) else contents.encode())
    return path


@pytest.fixture
def kdump(tmp_path: Path) -> bytes:
    return write_kdump(tmp_path / "sample").read_bytes()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "tree").mkdir()
    return tmp_path / "tree"


def _found(root: Path) -> tuple[Capture, ...]:
    return captures(list_captures(TreeHost(root)))


def _el9(root: Path, dump: bytes) -> None:
    folder = "/var/crash/127.0.0.1-2026-11-26-09:14:03"
    write(root, f"{folder}/vmcore", dump)
    write(root, f"{folder}/vmcore-dmesg.txt", PANIC)
    write(root, f"{folder}/kexec-dmesg.log", "kdump[601]: saving vmcore complete\n")


def _el9_test(root: Path, dump: bytes) -> None:
    folder = "/var/crash/kdump-test-1795689104"
    write(root, f"{folder}/vmcore", dump)
    write(root, f"{folder}/vmcore-creation.status", "success 1795689104\n")


def _el6(root: Path, dump: bytes) -> None:
    write(root, "/var/crash/127.0.0.1-2026-11-26-09:14:03/vmcore", dump)


def _debian(root: Path, dump: bytes) -> None:
    write(root, "/var/crash/kexec_cmd", "/sbin/kexec -p\n")
    write(root, "/var/crash/202611260914/dump.202611260914", flatten(dump))
    write(root, "/var/crash/202611260914/dmesg.202611260914", PANIC)


def _debian_nfs(root: Path, dump: bytes) -> None:
    write(root, "/etc/default/kdump-tools", 'KDUMP_COREDIR="/srv/crash"\n')
    write(root, "/srv/crash/10.0.0.7-202611260914/dump.202611260914", flatten(dump))


def _suse(root: Path, dump: bytes) -> None:
    folder = "/var/crash/2026-11-26-09-14"
    write(root, f"{folder}/vmcore", flatten(dump))
    write(root, f"{folder}/dmesg", PANIC)
    write(root, f"{folder}/README.txt", _README.format(status="saved successfully"))


def _custom(root: Path, dump: bytes) -> None:
    write(root, "/etc/kdump.conf", "# comment\npath /dumps/here\ncore_collector makedumpfile -l\n")
    folder = "/dumps/here/10.0.0.7-2026-11-26-09:14:03"
    write(root, f"{folder}/vmcore.flat", flatten(dump))
    write(root, f"{folder}/vmcore-dmesg.txt", PANIC)


def _other(root: Path, dump: bytes) -> None:
    write(root, "/var/crash/db1/oops-2026.kdump", dump)


@pytest.mark.parametrize(
    ("layout", "producer"),
    [
        (_el9, Producer.DRACUT),
        (_el9_test, Producer.DRACUT),
        (_el6, Producer.MKDUMPRD),
        (_debian, Producer.KDUMP_TOOLS),
        (_debian_nfs, Producer.KDUMP_TOOLS),
        (_suse, Producer.SUSE),
        (_custom, Producer.DRACUT),
        (_other, Producer.OTHER),
    ],
)
def test_each_is_found_told_and_brought_home(
    layout: Callable[[Path, bytes], None],
    producer: Producer,
    root: Path,
    kdump: bytes,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    layout(root, kdump)
    (capture,) = _found(root)
    assert (capture.producer, capture.state) == (producer, CaptureState.COMPLETE)
    argv = ["collect", f"tree:{root}", "--out", str(tmp_path / "home"), "--json", "--no-analysis"]
    assert main(argv) == 0
    (collected,) = json.loads(capsys.readouterr().out)["collected"]
    assert capture.dump is not None
    source = root / capture.dump.lstrip("/")
    assert Path(collected["dump"]).read_bytes() == source.read_bytes()
    checks = {check["id"]: check["status"] for check in collected["checks"]}
    assert checks["header"] == checks["producer-status"] == "pass"
    assert checks["log"] == ("pass" if capture.log else "unknown")


@pytest.mark.parametrize("kind", ["gzip", "xz", "zstd", "bzip2"])
def test_a_compressor_around_a_dump_is_taken_off(
    kind: str, root: Path, kdump: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """COMPRESS of Debian's kdump-tools."""
    if shutil.which(kind) is None:
        pytest.skip(f"no {kind} here")
    extension = {"gzip": "gz", "zstd": "zst", "bzip2": "bz2"}.get(kind, kind)
    plain = flatten(kdump)
    packed = subprocess.run([kind, "-c"], input=plain, capture_output=True, check=True).stdout
    name = f"dump.202611260914.{extension}"
    write(root, f"/var/crash/202611260914/{name}", packed)
    (capture,) = _found(root)
    assert (capture.producer, capture.state) == (Producer.KDUMP_TOOLS, CaptureState.COMPLETE)
    argv = ["collect", f"tree:{root}", "--out", str(tmp_path / "home"), "--json", "--no-analysis"]
    assert main(argv) == 0
    (collected,) = json.loads(capsys.readouterr().out)["collected"]
    home = Path(collected["dump"])
    assert home.name == "dump.202611260914" and home.read_bytes() == plain
    # Half of it is not called whole.
    write(root, f"/var/crash/202611260914/{name}", packed[: len(packed) // 2])
    assert main([*argv[:3], str(tmp_path / "again"), *argv[4:]]) == 3


@pytest.mark.parametrize(
    ("files", "state", "status"),
    [
        (
            {"127.0.0.1-2026-11-26-09:14:03/vmcore-incomplete": "dump"},
            CaptureState.INCOMPLETE,
            "vmcore-incomplete",
        ),
        (
            {
                "127.0.0.1-2026-11-26-09:14:03/vmcore-incomplete": "dump",
                "127.0.0.1-2026-11-26-09:14:03/kexec-dmesg.log": "kdump[6]: saving vmcore failed,"
                " exitcode:1\n",
            },
            CaptureState.INCOMPLETE,
            "saving vmcore failed, exitcode:1",
        ),
        (
            {
                "202611260914/dump-incomplete": "dump",
                "202611260914/dmesg.202611260914": PANIC,
            },
            CaptureState.INCOMPLETE,
            "dump-incomplete",
        ),
        (
            {
                "2026-11-26-09-14/vmcore": "dump",
                "2026-11-26-09-14/README.txt": "This file will be overwritten when the dump is"
                " finished.\nIf you see this text the crash dump is likely incomplete.\n",
            },
            CaptureState.INCOMPLETE,
            "likely incomplete",
        ),
        (
            {
                "2026-11-26-09-14/vmcore": "dump",
                "2026-11-26-09-14/README.txt": _README.format(
                    status="error while saving, return code: 1"
                ),
            },
            CaptureState.INCOMPLETE,
            "error while saving",
        ),
        (
            {
                "2026-11-26-09-14/dmesg": PANIC,
                "2026-11-26-09-14/README.txt": _README.format(
                    status="deleted (90 < KDUMP_FREE_DISK_SIZE 100)"
                ),
            },
            CaptureState.LOG_ONLY,
            "deleted",
        ),
        (
            {"127.0.0.1-2026-11-26-09:14:03/vmcore-dmesg.txt": PANIC},
            CaptureState.LOG_ONLY,
            "no dump",
        ),
    ],
)
def test_what_failed_is_not_called_whole(
    files: dict[str, str], state: CaptureState, status: str, root: Path, kdump: bytes,
    tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    for name, contents in files.items():
        write(root, f"/var/crash/{name}", kdump if contents == "dump" else contents)
    (capture,) = _found(root)
    assert capture.state is state and status in capture.status
    argv = ["collect", f"tree:{root}", "--out", str(tmp_path / "home"), "--no-analysis"]
    assert main(argv) == 1
    capsys.readouterr()


def test_the_newest_is_chosen_and_a_newer_failure_is_not_hidden(
    root: Path, kdump: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = 1_700_000_000
    for number, name in enumerate(("dump.202611200914", "dump.202611210914", "dump-incomplete")):
        path = write(root, f"/var/crash/20261120091{number}/{name}", flatten(kdump))
        os.utime(path, (base + number, base + number))
    argv = ["collect", f"tree:{root}", "--out", str(tmp_path / "home"), "--no-analysis", "--json"]
    assert main(argv) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["collected"][0]["capture"]["dump"].endswith("dump-incomplete")
    assert "an older one is whole: /var/crash/202611200911" in document["notes"][-1]
    assert main([*argv, "--all"]) == 1
    assert len(json.loads(capsys.readouterr().out)["collected"]) == 3


def test_a_header_that_says_so_and_a_file_that_is_short(
    root: Path, kdump: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flagged = bytearray(kdump)
    at = 8 + 4 + 390 + 6 + 16  # disk_dump_header.status, as a 64-bit producer lays it out
    flagged[at] |= 0x8
    for number, dump in enumerate((bytes(flagged), kdump[:-100], flatten(kdump)[:-16])):
        tree = root / str(number)
        _el9(tree, dump)
        out = str(tmp_path / f"home{number}")
        assert main(["collect", f"tree:{tree}", "--out", out, "--json", "--no-analysis"]) == 1
        (collected,) = json.loads(capsys.readouterr().out)["collected"]
        checks = {check["id"]: check["status"] for check in collected["checks"]}
        assert (checks["producer-status"], checks["header"]) == ("pass", "fail")


def test_without_a_dump_pstore_is_the_witness(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(root, "/sys/fs/pstore/dmesg-efi-1", "Panic#1 Part1\n<0>Kernel panic - not syncing: x\n")
    write(root, "/sys/fs/pstore/dmesg-efi-2", "Panic#1 Part2\n<4>before that\n")
    assert main(["collect", f"tree:{root}", "--out", str(tmp_path / "home"), "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    (witness,) = document["witnesses"]
    assert witness["kind"] == "pstore"
    text = witness["text"]
    assert text.index("before that") < text.index("Kernel panic")


def test_where_else_dumps_go_is_said(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(root, "/etc/kdump.conf", "nfs nas.example:/export\npath /crash\n")
    assert main(["collect", f"tree:{root}", "--list"]) == 1
    assert "go to nas.example:/export/crash" in capsys.readouterr().out
    write(root, "/etc/kdump.conf", "ssh kdump@collector.example\npath /crash\n")
    assert main(["collect", f"tree:{root}", "--list"]) == 1
    assert "go to kdump@collector.example:/crash" in capsys.readouterr().out
    write(root, "/etc/default/kdump-tools", 'SSH="kdump@c2"\n')
    write(root, "/etc/sysconfig/kdump", 'KDUMP_SAVEDIR="nfs://nas/x"\n')
    assert main(["collect", f"tree:{root}", "--list"]) == 1
    said = capsys.readouterr().out
    assert "kdump@c2" in said and "nas:/x" in said


def test_hostile_names_stay_in_their_folder(
    root: Path, kdump: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("..$(touch x)", "-rf", "a b;c", "\x1b[31m"):
        write(root, f"/var/crash/{name}/vmcore", kdump)
    home = tmp_path / "home"
    argv = ["collect", f"tree:{root}", "--out", str(home), "--all", "--no-analysis"]
    assert main(argv) in (0, 1)
    assert "\x1b[31m" not in capsys.readouterr().out
    assert len(list(home.glob("tree/*/vmcore"))) == 4
    assert not [p for p in home.rglob("*") if p.name.startswith((".", "-"))]
    # A link that leads out of the directory leads into this machine: it is not followed.
    outside = tmp_path / "outside"
    write(outside, "/202611260914/dump.202611260914", flatten(kdump))
    other = root / "other"
    (other / "var").mkdir(parents=True)
    (other / "var/crash").symlink_to(outside)
    assert _found(other) == ()
