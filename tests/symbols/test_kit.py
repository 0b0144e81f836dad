from __future__ import annotations

import json
import os
import stat
from array import array
from pathlib import Path

import pytest
from tests.host.sshd import SSHD, serve
from tests.symbols.btf_blob import BtfBlob

from kautopsy.cli.main import main
from kautopsy.dump.vmcoreinfo import VmcoreInfo
from kautopsy.host.host import RunResult
from kautopsy.host.local import LocalHost
from kautopsy.model.errors import UnreadableError
from kautopsy.symbols import kit, kit_host
from kautopsy.symbols.kallsyms import Kallsyms

pytestmark = pytest.mark.slow

BUILD_ID = "ab" * 20
SYMBOLS = Kallsyms(
    ["__per_cpu_start", "_stext", "schedule", "_end"],
    "ATTB",
    array("Q", [0, 0xFFFFFFFF81000000, 0xFFFFFFFF81234560, 0xFFFFFFFF82000000]),
)


def blob() -> bytes:
    written = BtfBlob()
    written.structure("task_struct", 0)
    return written.bytes()


@pytest.fixture
def saved(tmp_path: Path) -> kit.SavedKit:
    about = kit.KitAbout(build_id=BUILD_ID, release="6.1.0-test", origin="web1")
    return kit.save(kit.Kit(about, SYMBOLS, {"vmlinux": blob()}), tmp_path / "kits")


def info(**values: str) -> VmcoreInfo:
    return VmcoreInfo(
        "\n".join(f"{key.replace('_', '-')}={value}" for key, value in values.items())
    )


def test_it_is_named_by_its_build_id_and_readable_by_all(saved: kit.SavedKit) -> None:
    path = Path(saved.path)
    assert path.name == f"{BUILD_ID}.kit"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_symbols_move_with_kaslr_and_per_cpu_offsets_do_not(saved: kit.SavedKit) -> None:
    opened = kit.OpenKit(Path(saved.path))
    moved = opened.symbols(0xFFFFFFFFA5000000)
    assert moved.names == SYMBOLS.names
    assert moved.kinds == SYMBOLS.kinds
    assert moved.addresses.tolist() == [
        0,
        0xFFFFFFFFA5000000,
        0xFFFFFFFFA5234560,
        0xFFFFFFFFA6000000,
    ]
    assert opened.btf().ids("task_struct") == [1]
    assert opened.lines() == {}


def test_it_is_found_by_build_id_beside_the_dump(saved: kit.SavedKit, tmp_path: Path) -> None:
    beside = Path(saved.path).parent / "vmcore"
    found = kit.find(info(BUILD_ID=BUILD_ID, OSRELEASE="6.1.0-test"), beside)
    assert found is not None and found.about.release == "6.1.0-test"
    assert kit.find(info(BUILD_ID="cd" * 20, OSRELEASE="6.1.0-test"), beside) is None
    # VMCOREINFO has no build-id before 5.9.
    assert kit.find(info(OSRELEASE="6.1.0-test"), beside) is not None
    assert kit.find(info(OSRELEASE="6.1.0-other"), beside) is None


def test_it_is_found_in_configured_directories(
    saved: kit.SavedKit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(kit.PATH_VARIABLE, f"/nowhere:{Path(saved.path).parent}")
    assert kit.find(info(BUILD_ID=BUILD_ID), tmp_path / "vmcore") is not None


@pytest.mark.parametrize("keep", [0, 10, 200, -30])
def test_a_damaged_one_is_refused(saved: kit.SavedKit, keep: int) -> None:
    path = Path(saved.path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(kit.KitError):
        kit.OpenKit(path)


def test_every_flipped_byte_is_refused_or_harmless(saved: kit.SavedKit) -> None:
    path = Path(saved.path)
    good = path.read_bytes()
    for at in range(0, len(good), 3):
        path.write_bytes(good[:at] + bytes([good[at] ^ 0x55]) + good[at + 1 :])
        try:
            opened = kit.OpenKit(path)
            assert opened.symbols(None).names == SYMBOLS.names
            assert opened.btf().ids("task_struct") == [1]
        except UnreadableError:
            pass


@pytest.mark.parametrize("host", ["-oProxyCommand=touch x", "lab:nothing", "tree:/"])
def test_what_has_no_kernel_is_refused(host: str) -> None:
    assert main(["symbols", "kit", "--", host]) == 2


def test_a_host_or_a_vmlinux_not_both() -> None:
    assert main(["symbols", "kit", "web1", "--from", "vmlinux"]) == 2


class Answering(LocalHost):
    """A host that answers with what is in a directory."""

    def __init__(self, files: Path) -> None:
        self._files = files

    def script(self, text: str, *arguments: str, timeout: float = 120.0) -> RunResult:
        return self.run(["tar", "-C", str(self._files), "-cf", "-", "."])


def test_what_a_host_answers(tmp_path: Path) -> None:
    files = tmp_path / "host"
    (files / "btf").mkdir(parents=True)
    (files / "btf/vmlinux").write_bytes(blob())
    (files / "release").write_text("6.1.0-test\n")
    notes = bytes.fromhex("04000000 14000000 03000000") + b"GNU\0" + bytes.fromhex(BUILD_ID)
    (files / "notes").write_bytes(notes)
    (files / "kallsyms").write_text(
        "".join(
            f"{address:016x} {kind} {name}\n"
            for address, kind, name in zip(
                SYMBOLS.addresses, SYMBOLS.kinds, SYMBOLS.names, strict=True
            )
        )
        + "ffffffffc0000000 t lo_open\t[loop]\n"
    )
    made = kit_host.make(Answering(files))
    assert (made.about.build_id, made.about.release) == (BUILD_ID, "6.1.0-test")
    assert made.symbols.names == SYMBOLS.names
    assert list(made.btf) == ["vmlinux"]
    (files / "kallsyms").write_text("0000000000000000 T _stext\n")
    with pytest.raises(UnreadableError) as caught:
        kit_host.make(Answering(files))
    assert caught.value.slug == "hidden-symbols"


needs_btf = pytest.mark.skipif(
    os.geteuid() != 0 or not Path("/sys/kernel/btf/vmlinux").exists(),
    reason="needs root on a kernel with BTF",
)


@needs_btf
@pytest.mark.skipif(SSHD is None, reason="no sshd here (Debian: openssh-server)")
def test_through_a_real_sshd_it_is_the_same_kit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("keys", "far", "near"):
        (tmp_path / name).mkdir()
    with serve(tmp_path / "keys") as server:
        options = [word for option in server.options for word in ("-o", option)]
        argv = ["symbols", "kit", server.name, *options]
        assert main([*argv, "--output", str(tmp_path / "far"), "--json"]) == 0
        far = json.loads(capsys.readouterr().out)
        (server.folder / "known_hosts").write_text("")
        assert main(argv) == 4
        assert "host-key" in capsys.readouterr().err
    assert far["size_bytes"] < 2_000_000
    assert main(["symbols", "kit", "--output", str(tmp_path / "near")]) == 0
    kits = [kit.OpenKit(next((tmp_path / name).iterdir())) for name in ("far", "near")]
    assert [opened.about.build_id for opened in kits] == [far["build_id"]] * 2
    assert kits[0].symbols(None) == kits[1].symbols(None)
    assert kits[0].btf() == kits[1].btf()


@needs_btf
def test_this_machines_kit_is_small(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["symbols", "kit", "--output", str(tmp_path), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["size_bytes"] < 2_000_000
    assert document["release"] == os.uname().release
    path = Path(document["path"])
    opened = kit.OpenKit(path)
    assert opened.btf().ids("task_struct")
    assert "schedule" in opened.symbols(None).names
