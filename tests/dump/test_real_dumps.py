"""Dumps as makedumpfile really writes them, in each of its containers, whole and cut off."""

import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from kautopsy.dump.header import read_dump
from kautopsy.dump.open import open_dump
from kautopsy.lab.specimen import Specimen
from kautopsy.model.dump import DumpFormat
from kautopsy.model.errors import ExitCode, UnreadableError
from kautopsy.triage.isolation import analyse

pytestmark = pytest.mark.guest


@pytest.fixture(scope="module")
def specimen(lab_vmcore: Callable[[str], Specimen]) -> Specimen:
    # Debian 12's makedumpfile, which the tests use on this side, knows this kernel.
    return lab_vmcore("6.1")


def makedumpfile(*arguments: str | Path, stdout: Path | None = None) -> None:
    with (stdout or Path("/dev/null")).open("wb") as out:
        subprocess.run(
            ["makedumpfile", *map(str, arguments)],
            stdout=out,
            stderr=subprocess.PIPE,
            check=True,
            timeout=300,
        )


def test_the_dump_itself(specimen: Specimen) -> None:
    file = read_dump(specimen.vmcore)
    assert file.complete and not file.problems
    assert file.release == specimen.facts.release
    assert file.arch == "x86_64"
    assert file.format is DumpFormat.KDUMP


@pytest.mark.parametrize(("option", "name"), [("-c", "zlib"), ("-l", "lzo")])
def test_compressions(option: str, name: str, specimen: Specimen, tmp_path: Path) -> None:
    out = tmp_path / "vmcore"
    makedumpfile(option, "-d", "31", specimen.vmcore, out)
    file = read_dump(out)
    assert (file.compression, file.dump_level, file.complete) == (name, 31, True)
    release = open_dump(out).program["UTS_RELEASE"].string_().decode()
    assert release == specimen.facts.release


def test_flattened(specimen: Specimen, tmp_path: Path) -> None:
    flat = tmp_path / "vmcore.flat"
    makedumpfile("-F", "-c", "-d", "31", specimen.vmcore, stdout=flat)
    file, plain = read_dump(flat), read_dump(specimen.vmcore)
    assert file.format is DumpFormat.FLATTENED
    assert file.complete and file.build_id == plain.build_id and file.release == plain.release
    flat.write_bytes(flat.read_bytes()[:-5000])
    assert not read_dump(flat).complete


def test_what_a_hypervisor_does_not_know_is_in_the_memory(
    specimen: Specimen, tmp_path: Path
) -> None:
    """As QEMU leaves a guest without a vmcoreinfo device, whose headers lack VMCOREINFO."""
    out = tmp_path / "vmcore"
    shutil.copy(specimen.vmcore, out)
    with out.open("r+b") as file:
        # offset_vmcoreinfo and size_vmcoreinfo of struct kdump_sub_header
        file.seek(4096 + 32)
        assert all(struct.unpack("<qQ", file.read(16)))
        file.seek(4096 + 32)
        file.write(bytes(16))
    assert read_dump(out).build_id is None
    found, plain = open_dump(out), open_dump(specimen.vmcore)
    assert found.file.build_id == plain.file.build_id is not None
    assert found.file.release == specimen.facts.release
    assert "that of the kernel's memory is used" in found.file.problems[-1]
    assert found.vmcoreinfo.get("KERNELOFFSET") == plain.vmcoreinfo.get("KERNELOFFSET")
    assert found.program["UTS_RELEASE"].string_().decode() == specimen.facts.release


def test_split(specimen: Specimen, tmp_path: Path) -> None:
    parts = [tmp_path / "part1", tmp_path / "part2"]
    makedumpfile("--split", "-c", "-d", "31", specimen.vmcore, *parts)
    for part in parts:
        assert "one part of a split dump" in read_dump(part).problems[0]
        with pytest.raises(UnreadableError, match="--reassemble"):
            open_dump(part)
    whole = tmp_path / "whole"
    makedumpfile("--reassemble", *parts, whole)
    assert read_dump(whole).complete


def test_truncated_at_a_hundred_places(specimen: Specimen, tmp_path: Path) -> None:
    """The headers tell every cut; a report on a tenth of them says it, or is one clear refusal."""
    dump = tmp_path / "vmcore"
    shutil.copy(specimen.vmcore, dump)
    size = dump.stat().st_size
    for i in reversed(range(100)):
        cut = size * i // 100
        with dump.open("r+b") as file:
            file.truncate(cut)
        try:
            assert not read_dump(dump).complete, cut
        except UnreadableError as error:
            assert str(dump) in str(error)
        if i % 10:
            continue
        try:
            *_, report = analyse(dump, debuginfo=False)
        except UnreadableError as error:
            assert error.exit_code is ExitCode.UNREADABLE
            continue
        assert report.dump is not None and not report.dump.complete
        assert report.dump.problems
        if report.verdict is not None and report.verdict.confidence > 0.5:
            # What is left may still prove who asked for the crash; nothing else happened.
            assert report.verdict.kind == "operator-sysrq"


def test_another_kernels_vmlinux_is_refused_with_both_ids(
    specimen: Specimen, lab_vmcore: Callable[[str], Specimen]
) -> None:
    other = lab_vmcore("6.12")
    with pytest.raises(UnreadableError) as refused:
        list(analyse(specimen.vmcore, vmlinux=other.vmlinux()))
    text = str(refused.value)
    for dump in (specimen.vmcore, other.vmcore):
        build_id = read_dump(dump).build_id
        assert build_id is not None and build_id in text
