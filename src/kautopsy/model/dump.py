"""A dump file as a file: container, completeness, identity."""

from __future__ import annotations

from enum import StrEnum

from kautopsy.model.base import Noun


class DumpFormat(StrEnum):
    """The container a dump comes in."""

    ELF = "elf"
    KDUMP = "kdump-compressed"
    FLATTENED = "flattened"
    """makedumpfile -F: a stream of (offset, size, bytes) records around a kdump or ELF file."""


class DumpFile(Noun, frozen=True, kw_only=True):
    """What a dump's own headers say.

    :param complete: False if the producer flagged it or the file is short; ``problems`` say which
    :param consistent: False if its parts contradict each other, so that pages may be taken for
        others; ``problems`` say how
    :param build_id: of the kernel, lower-case hex, from VMCOREINFO (since 5.9)
    :param arch: as ``uname -m`` gives it
    :param dump_level: makedumpfile's ``-d``, 0 to 31; None where the container does not keep it
    """

    path: str
    format: DumpFormat
    complete: bool
    consistent: bool = True
    build_id: str | None = None
    release: str | None = None
    arch: str | None = None
    dump_level: int | None = None
    compression: str | None = None
    size_bytes: int = 0
    problems: tuple[str, ...] = ()
