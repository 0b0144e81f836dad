"""Headers of every container; files that are no dumps; dumps that break off.

The small ELF dumps are written by kdumpling, another project's writer; the kdump-compressed ones
are packed by hand from the layouts in makedumpfile's source (kdumpling 0.4.0 counts one bitmap
where the format counts both). Real ones are read in test_real_dumps.py.
"""

import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kdumpling import KdumpBuilder, OutputFormat

from kautopsy.dump.header import read_dump, read_headers
from kautopsy.dump.open import open_dump
from kautopsy.model.dump import DumpFormat
from kautopsy.model.errors import UnreadableError

BUILD_ID = "0123456789abcdef0123456789abcdef01234567"
VMCOREINFO = f"OSRELEASE=6.1.0-test\nBUILD-ID={BUILD_ID}\nPAGESIZE=4096\nKERNELOFFSET=1e000000\n"


def write_elf(path: Path) -> Path:
    builder = KdumpBuilder("x86_64").set_vmcoreinfo(VMCOREINFO)
    for i in range(3):
        builder.add_memory_segment(0x1000 + i * 0x10000, bytes([i + 1]) * 0x4000)
    builder.write(str(path), format=OutputFormat.ELF)
    return path


def write_kdump(
    path: Path,
    release: str = "6.1.0-test",
    *,
    machine: str = "x86_64",
    vmcoreinfo: str = VMCOREINFO,
) -> Path:
    """Ten pages in frames 3 to 12 of 64, as makedumpfile -c -d 31 lays them out (version 6)."""
    block, frames = 4096, range(3, 13)
    bitmap_blocks = 2  # of both bitmaps together
    info_at = block + 104
    header = struct.pack("<8si", b"KDUMP   ", 6)
    for word in ("Linux", "node", release, "#1 SMP", machine, "(none)"):
        header += word.encode().ljust(65, b"\0")
    header = header.ljust(408, b"\0") + struct.pack("<qq", 1_700_000_000, 0)
    header += struct.pack("<IiiIIIIIIi", 0x1, block, 1, bitmap_blocks, 64, 0, 0, 0, 0, 1)
    info = vmcoreinfo.replace("6.1.0-test", release).encode()
    sub_header = struct.pack(
        "<QiiQQqQqQqQQQQ", 0, 31, 0, 0, 0, info_at, len(info), 0, 0, 0, 0, 0, 0, 64
    )
    bitmap = sum(1 << frame for frame in frames).to_bytes(8, "little").ljust(block, b"\0")
    pages = [zlib.compress(bytes([frame]) * block) for frame in frames]
    at = 4 * block + 24 * len(pages)
    descriptors = b""
    for page in pages:
        descriptors += struct.pack("<qIIQ", at, len(page), 1, 0)
        at += len(page)
    blocks = [header, sub_header + info, bitmap, bitmap]
    path.write_bytes(
        b"".join(b.ljust(block, b"\0") for b in blocks) + descriptors + b"".join(pages)
    )
    return path


WRITERS = {"elf": write_elf, "kdump": write_kdump}


def flatten(dump: bytes, *, record: int = 1000, end: bool = True) -> bytes:
    """``dump`` as makedumpfile -F writes it: headers last, as it rewrites them."""
    out = struct.pack(">16sqq", b"makedumpfile", 1, 1).ljust(4096, b"\0")
    pieces = [(i, dump[i : i + record]) for i in range(0, len(dump), record)]
    out += struct.pack(">qq", 0, record) + bytes(record)  # a first, stale copy of the header
    for offset, data in [*pieces[1:], pieces[0]]:
        out += struct.pack(">qq", offset, len(data)) + data
    return out + (struct.pack(">qq", -1, -1) if end else b"")


@pytest.fixture(params=["elf", "kdump"])
def dump(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return WRITERS[request.param](tmp_path / "vmcore")


def test_identity_of_a_whole_dump(dump: Path) -> None:
    headers = read_headers(dump)
    file = headers.file
    assert (file.release, file.build_id, file.arch) == ("6.1.0-test", BUILD_ID, "x86_64")
    assert (file.complete, file.problems) == (True, ())
    assert file.size_bytes == dump.stat().st_size
    assert headers.vmcoreinfo is not None
    assert headers.vmcoreinfo.kaslr_offset == 0x1E000000


@pytest.mark.parametrize(
    ("line", "arch"),
    [
        ("NUMBER(kimage_voffset)=0xffff7fffc8000000", "aarch64"),
        ("SYMBOL(init_top_pgt)=ffffffff82a0a000", "x86_64"),
        ("CRASHTIME=1", None),
    ],
)
@pytest.mark.parametrize("machine", ["", "Unknown"])  # as QEMU writes it
def test_a_machine_that_has_no_name(
    machine: str, line: str, arch: str | None, tmp_path: Path
) -> None:
    dump = write_kdump(tmp_path / "vmcore", machine=machine, vmcoreinfo=f"{VMCOREINFO}{line}\n")
    assert read_dump(dump).arch == arch


def test_blocks_that_are_not_pages_are_refused(tmp_path: Path) -> None:
    dump = write_kdump(
        tmp_path / "vmcore", vmcoreinfo=VMCOREINFO.replace("PAGESIZE=4096", "PAGESIZE=65536")
    )
    with pytest.raises(UnreadableError, match="4,096 bytes, where the kernel's pages have 65,536"):
        open_dump(dump)


def test_flattened_dump_reads_as_the_dump_it_carries(dump: Path, tmp_path: Path) -> None:
    flat = tmp_path / "vmcore.flat"
    flat.write_bytes(flatten(dump.read_bytes()))
    plain, file = read_dump(dump), read_dump(flat)
    assert file.format is DumpFormat.FLATTENED
    assert (file.release, file.build_id, file.arch) == (plain.release, plain.build_id, plain.arch)
    assert file.complete and file.compression == plain.compression


def test_flattened_dump_without_end_mark_is_incomplete(dump: Path, tmp_path: Path) -> None:
    flat = tmp_path / "vmcore.flat"
    flat.write_bytes(flatten(dump.read_bytes(), end=False))
    file = read_dump(flat)
    assert not file.complete
    assert "no end mark" in file.problems[0]


def test_every_truncation_is_seen_or_refused(dump: Path) -> None:
    whole = dump.read_bytes()
    for i in range(1, 101):
        dump.write_bytes(whole[: len(whole) * i // 101])
        try:
            file = read_dump(dump)
        except UnreadableError as error:
            assert str(dump) in str(error)
            continue
        assert not file.complete, f"{i}: {file}"
        assert file.problems
        with pytest.raises(UnreadableError):
            open_dump(dump)


def test_incomplete_flag_of_kdump(tmp_path: Path) -> None:
    dump = write_kdump(tmp_path / "vmcore")
    data = bytearray(dump.read_bytes())
    (status,) = struct.unpack_from("<I", data, 424)  # offset of disk_dump_header.status on 64 bit
    struct.pack_into("<I", data, 424, status | 0x8)  # DUMP_DH_COMPRESSED_INCOMPLETE
    dump.write_bytes(data)
    file = read_dump(dump)
    assert not file.complete
    assert "flagged incomplete" in file.problems[0]


def test_incomplete_flag_of_elf(tmp_path: Path) -> None:
    dump = write_elf(tmp_path / "vmcore")
    data = bytearray(dump.read_bytes())
    struct.pack_into("<I", data, 48, 0x1)  # e_flags: DUMP_ELF_INCOMPLETE
    dump.write_bytes(data)
    file = read_dump(dump)
    assert not file.complete
    assert "flagged incomplete" in file.problems[0]


def test_part_of_a_split_dump_is_named_and_not_opened(tmp_path: Path) -> None:
    dump = write_kdump(tmp_path / "vmcore")
    data = bytearray(dump.read_bytes())
    (block,) = struct.unpack_from("<i", data, 428)
    struct.pack_into("<i", data, block + 12, 1)  # kdump_sub_header.split
    struct.pack_into("<QQ", data, block + 80, 0x10, 0x20)  # start_pfn_64, end_pfn_64
    dump.write_bytes(data)
    assert "page frames 0x10 to 0x20" in read_dump(dump).problems[0]
    with pytest.raises(UnreadableError, match="makedumpfile --reassemble"):
        open_dump(dump)


@pytest.mark.parametrize(
    ("content", "slug"),
    [
        (b"", "empty-file"),
        (b"\0" * 10000, "not-a-dump"),
        (b"KDUMP", "not-a-dump"),
        (b"\x1f\x8b" + b"\0" * 5000, "not-a-dump"),
        (b"makedumpfile\0\0\0\0" + b"\0" * 5000, "truncated"),
        (b"Oct 12 kernel: BUG: unable to handle\n" * 100, "not-a-dump"),
    ],
)
def test_what_is_no_dump_is_named(content: bytes, slug: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(UnreadableError) as error:
        read_dump(path)
    assert error.value.slug == slug


def test_an_executable_is_no_dump() -> None:
    with pytest.raises(UnreadableError, match="not a core dump"):
        read_dump(Path("/bin/sh").resolve())


def test_a_directory_and_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError) as error:
        read_dump(tmp_path)
    assert error.value.slug == "is-a-directory"
    with pytest.raises(UnreadableError) as error:
        read_dump(tmp_path / "none")
    assert error.value.slug == "no-such-file"


def test_the_running_kernel_is_never_opened(tmp_path: Path) -> None:
    link = tmp_path / "vmcore"
    link.symlink_to("/proc/kcore")
    with pytest.raises(UnreadableError) as error:
        open_dump(link)
    assert error.value.slug == "live-kernel"


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.binary(min_size=1, max_size=9000), st.sampled_from([b"", b"KDUMP   ", b"\x7fELF"]))
def test_random_bytes_end_in_a_named_error_or_problems(
    tmp_path: Path, content: bytes, magic: bytes
) -> None:
    path = tmp_path / "random"
    path.write_bytes(magic + content)
    try:
        file = read_dump(path)
    except UnreadableError:
        return
    assert file.problems


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_flipped_header_bytes_end_in_a_named_error_or_an_answer(
    dump: Path, data: st.DataObject
) -> None:
    whole = bytearray(dump.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        whole[data.draw(st.integers(0, min(8192, len(whole)) - 1))] = data.draw(st.integers(0, 255))
    mutant = dump.with_name("mutant")
    mutant.write_bytes(whole)
    try:
        read_dump(mutant)
    except UnreadableError as error:
        assert str(mutant) in str(error)
