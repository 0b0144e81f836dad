"""A kit of a running host."""

from __future__ import annotations

import io
import re
import tarfile
from array import array

from kautopsy.host.host import Host
from kautopsy.host.tree import TreeHost
from kautopsy.model.errors import UnreadableError, UsageError
from kautopsy.symbols.btf.parse import parse
from kautopsy.symbols.kallsyms import Kallsyms
from kautopsy.symbols.kit import Kit, KitAbout

_TIMEOUT = 300
_MAX_PART = 256 << 20
# Files of /proc and /sys have no size that tar would believe: they are copied first.
_SCRIPT = """\
set -eu
umask 077
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir btf
cat /proc/kallsyms > kallsyms
cat /sys/kernel/notes > notes
uname -r > release
cat /proc/modules > modules 2>/dev/null || :
for file in /sys/kernel/btf/*; do
    [ -r "$file" ] && cat "$file" > "btf/${file##*/}" || :
done
{ zcat /proc/config.gz || cat "/boot/config-$(uname -r)" || cat "/lib/modules/$(uname -r)/config"
} > config 2>/dev/null || :
tar -cf - *
"""
_SYMBOL = re.compile(rb"^([0-9a-f]{8,16}) ([!-~]) ([!-~]{1,512})$", re.MULTILINE)
_NT_GNU_BUILD_ID = b"\x03\x00\x00\x00GNU\x00"


def make(host: Host) -> Kit:
    """Read a running host's kernel, as root if that can be had.

    :raises UsageError: it does not run
    :raises UnreachableError: no connection
    :raises UnreadableError: it hides its symbols (not root), or does not answer as expected
    """
    if isinstance(host, TreeHost):
        raise UsageError(
            "does not run, so no kernel's tables are in its memory",
            thing=host.name,
            slug="not-running",
            hint="a kit can be made from its vmlinux: symbols kit --from VMLINUX",
        )
    done = host.script(_SCRIPT, timeout=_TIMEOUT)
    if done.status:
        raise UnreadableError(done.complaint, thing=host.name)
    return _made(_unpack(done.stdout, host.name), host.name)


def _made(parts: dict[str, bytes], where: str) -> Kit:
    symbols = _symbols(parts.get("kallsyms", b""), where)
    build_id = _build_id(parts.get("notes", b""))
    release = parts.get("release", b"").decode("ascii", "replace").strip()
    if build_id is None or not release:
        raise UnreadableError(
            "does not tell its kernel's build-id (/sys/kernel/notes)",
            thing=where,
            slug="no-build-id",
        )
    blobs = {
        name.removeprefix("btf/"): blob
        for name, blob in sorted(parts.items())
        if name.startswith("btf/") and blob
    }
    if "vmlinux" in blobs:
        parse(blobs["vmlinux"])  # better to hear of it now than when the host is dead
    return Kit(
        about=KitAbout(
            build_id=build_id,
            release=release,
            origin=where,
            first_address=symbols.addresses[0],
        ),
        symbols=symbols,
        btf=blobs,
        config=parts.get("config", b""),
        modules=parts.get("modules", b""),
    )


def _unpack(raw: bytes, where: str) -> dict[str, bytes]:
    parts = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
            for member in archive:
                if member.isfile() and member.size <= _MAX_PART:
                    file = archive.extractfile(member)
                    parts[member.name.removeprefix("./")] = file.read() if file else b""
    except (tarfile.TarError, EOFError) as error:
        raise UnreadableError(f"answered no archive: {error}", thing=where) from error
    return parts


def _symbols(raw: bytes, where: str) -> Kallsyms:
    """The kernel's own symbols of /proc/kallsyms, sorted; modules' have a fourth column."""
    rows = sorted(
        (
            (int(address, 16), kind.decode("ascii"), name.decode("ascii"))
            for address, kind, name in _SYMBOL.findall(raw)
        ),
        key=lambda row: row[0],  # aliases stay in the kernel's order
    )
    if not any(name == "_stext" and address for address, _, name in rows):
        raise UnreadableError(
            "hides its symbols' addresses",
            thing=where,
            slug="hidden-symbols",
            hint="be root there, with kernel.kptr_restrict below 2",
        )
    return Kallsyms(
        [name for _, _, name in rows],
        "".join(kind for _, kind, _ in rows),
        array("Q", [address for address, _, _ in rows]),
    )


def _build_id(notes: bytes) -> str | None:
    at = notes.find(_NT_GNU_BUILD_ID)
    if at < 8:
        return None
    size = int.from_bytes(notes[at - 4 : at], "little")
    start = at + len(_NT_GNU_BUILD_ID)
    return notes[start : start + size].hex() if 8 <= size <= 32 else None
