"""Take a compressor off a dump: kdump-tools can put gzip, lz4, xz, bzip2 or zstd around one."""

from __future__ import annotations

from pathlib import Path

from kautopsy.model.errors import MissingToolError, UnreadableError

_PIECE = 1 << 20


def unpack(packed: Path) -> Path:
    """``dump.STAMP.gz`` → ``dump.STAMP`` beside it, which appears when it is whole.

    :raises UnreadableError: it is damaged, or breaks off
    """
    try:
        import libarchive  # type: ignore[import-untyped]
    except (ImportError, OSError, AttributeError, TypeError):
        # The package is there, and the system's shared library is not.
        raise MissingToolError(
            "libarchive is not installed",
            thing=str(packed),
            hint="apt-get install libarchive13, or unpack it by hand",
        ) from None
    final = packed.with_suffix("")
    partial = final.with_name(f".{final.name}.unpacking")
    try:
        with (
            libarchive.file_reader(str(packed), format_name="raw") as archive,
            partial.open("wb") as file,
        ):
            for entry in archive:
                for block in entry.get_blocks(_PIECE):
                    file.write(block)
        partial.chmod(0o600)
        partial.rename(final)
    except (libarchive.ArchiveError, OSError) as error:
        partial.unlink(missing_ok=True)
        raise UnreadableError(
            f"cannot be unpacked: {error}", thing=str(packed), slug="not-unpacked"
        ) from None
    return final
