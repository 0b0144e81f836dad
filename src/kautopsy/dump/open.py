"""A dump as a drgn ``Program``, with no debugging information yet."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from pathlib import Path

import drgn
import msgspec

from kautopsy.dump.header import NO_VMCOREINFO, read_headers
from kautopsy.dump.kdump import OTHER_BLOCKS
from kautopsy.dump.mend import mended
from kautopsy.dump.vmcoreinfo import VmcoreInfo
from kautopsy.dump.within import find_vmcoreinfo
from kautopsy.model.dump import DumpFile
from kautopsy.model.errors import UnreadableError

_ARCHITECTURES = {
    "x86_64": drgn.Architecture.X86_64,
    "i686": drgn.Architecture.I386,
    "aarch64": drgn.Architecture.AARCH64,
    "armv7l": drgn.Architecture.ARM,
    "ppc64": drgn.Architecture.PPC64,
    "ppc64le": drgn.Architecture.PPC64,
    "riscv64": drgn.Architecture.RISCV64,
    "s390x": drgn.Architecture.S390X,
}
_LITTLE_ENDIAN = {"x86_64", "i686", "aarch64", "armv7l", "ppc64le", "riscv64"}
# Told for each time a file is opened; that it is flattened, DumpFile says.
logging.getLogger("drgn").addFilter(lambda record: "flattened format" not in record.getMessage())
# libkdumpfile takes the way that addresses are translated from it, and refuses all that have none
# ("Invalid kernel version"), in words that need not be text.
_VERSION = re.compile(r"\d{1,3}\.\d{1,3}(?!\d)")
_LIVE = {Path("/proc/kcore"), Path("/dev/mem"), Path("/dev/crash")}
_64_BIT = set(_ARCHITECTURES) - {"i686", "armv7l"}


@dataclass(frozen=True)
class BareDump:
    """An open dump: its headers, and a program that can read its memory but knows no name."""

    program: drgn.Program
    file: DumpFile
    vmcoreinfo: VmcoreInfo


def open_dump(path: Path) -> BareDump:
    """Open ``path``.

    Never opens the running kernel: drgn takes /proc/kcore for a core dump like any other, and
    falls back to it when told to find a core by itself.

    :raises UnreadableError: no dump, one part of a split dump, no VMCOREINFO, refused by drgn
    """
    if path.resolve() in _LIVE:
        raise _live(path)
    headers = read_headers(path)
    file = headers.file
    if any(problem.startswith("one part of a split dump") for problem in file.problems):
        raise UnreadableError(
            "is one part of a split dump",
            thing=str(path),
            slug="split-dump",
            hint="join the parts: makedumpfile --reassemble PART... vmcore",
        )
    if any(problem.startswith(OTHER_BLOCKS) for problem in file.problems):
        raise UnreadableError(
            "libkdumpfile cannot read it" + _because(file),
            thing=str(path),
            slug="other-blocks",
            hint="have QEMU write ELF: dump-guest-memory without a format",
        )
    if headers.empty:
        raise UnreadableError(
            "holds not one page" + _because(file),
            thing=str(path),
            slug="truncated",
            hint="copy it again, or see whether the capture ran out of space",
        )
    if headers.stray:
        with mended(path) as (copy, problem):
            return _opened(copy, _with_problem(file, problem), headers.vmcoreinfo, headers.noteless)
    return _opened(path, file, headers.vmcoreinfo)


def _opened(
    path: Path, file: DumpFile, info: VmcoreInfo | None, noteless: bool = False
) -> BareDump:
    if info is not None and _VERSION.match(info.release or ""):
        # libkdumpfile takes it from the notes, which a mended copy may lack.
        program = _program(path, file, info.text if noteless else None)
    else:
        info = find_vmcoreinfo(path, lambda text: _program(path, file, text))
        if info is None:
            raise UnreadableError(
                "has no readable VMCOREINFO, so nothing says where the kernel's data are"
                + _because(file),
                thing=file.path,
                slug="no-vmcoreinfo" if file.complete else "truncated",
                hint="in QEMU give the guest a vmcoreinfo device" if file.complete else "",
            )
        what = "no" if file.release is None else "no readable"
        problem = f"{what} VMCOREINFO in its headers: that of the kernel's memory is used"
        others = tuple(one for one in file.problems if one != NO_VMCOREINFO)
        file = msgspec.structs.replace(
            file,
            build_id=info.build_id,
            release=info.release,
            arch=file.arch or info.machine,
            problems=(*others, problem),
        )
        program = _program(path, file, info.text)
    if program.flags & drgn.ProgramFlags.IS_LIVE:
        raise _live(path)
    return BareDump(program, file, info)


def _program(path: Path, file: DumpFile, vmcoreinfo: str | None) -> drgn.Program:
    try:
        program = drgn.Program(platform=_platform(file.arch), vmcoreinfo=vmcoreinfo)
        program.set_core_dump(path)
    except MemoryError:
        raise
    except Exception as error:  # libkdumpfile's failures arrive as bare Exception
        raise UnreadableError(
            f"drgn cannot open it: {_first_line(error)}{_because(file)}",
            thing=file.path,
            slug="truncated" if not file.complete else "cannot-open",
        ) from error
    return program


def _with_problem(file: DumpFile, problem: str) -> DumpFile:
    """``file``, if ``problem`` says that it lacks pages."""
    if not problem:
        return file
    return msgspec.structs.replace(file, complete=False, problems=(*file.problems, problem))


def _live(path: Path) -> UnreadableError:
    return UnreadableError("is the running kernel, not a dump", thing=str(path), slug="live-kernel")


def _platform(arch: str | None) -> drgn.Platform | None:
    """The platform to tell libkdumpfile, which fails on headers without a machine name.

    QEMU 7.2 writes such ("kdump_get_string_attr(KDUMP_ATTR_ARCH_NAME): Key has no value"); it
    writes the kdump format for x86-64 more than for anything else.
    """
    if arch is None:
        return drgn.Platform(drgn.Architecture.X86_64)
    if arch not in _ARCHITECTURES:
        return None
    flags = drgn.PlatformFlags(0)
    if arch in _LITTLE_ENDIAN:
        flags |= drgn.PlatformFlags.IS_LITTLE_ENDIAN
    if arch in _64_BIT:
        flags |= drgn.PlatformFlags.IS_64_BIT
    return drgn.Platform(_ARCHITECTURES[arch], flags)


def _because(file: DumpFile) -> str:
    return f" ({'; '.join(file.problems)})" if file.problems else ""


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
