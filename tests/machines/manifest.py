"""Every file below some directories of a machine: contents, owner, mode, times left out, xattrs."""

from __future__ import annotations

import hashlib
import io
import tarfile

from kautopsy.host.host import Host


def manifest(host: Host, *folders: str) -> dict[str, tuple[str, ...]]:
    """Path → kind, mode, owner, extended attributes, and contents' hash or link's target."""
    argv = ["tar", "-c", "--format=pax", "--xattrs", "--xattrs-include=*", "--acls", "--selinux"]
    done = host.run([*argv, "--numeric-owner", "--sort=name", "-C", "/", *folders], timeout=300)
    assert done.status == 0, done.complaint
    found: dict[str, tuple[str, ...]] = {}
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
        for member in tar:
            file = tar.extractfile(member) if member.isreg() else None
            found[member.name] = (
                str(member.type),
                oct(member.mode),
                f"{member.uid}:{member.gid}",
                repr(sorted((k, v) for k, v in member.pax_headers.items() if "." in k)),
                hashlib.sha256(file.read()).hexdigest() if file else member.linkname,
            )
    return found


def differences(before: dict[str, tuple[str, ...]], after: dict[str, tuple[str, ...]]) -> list[str]:
    """Paths that are not what they were, each with how."""
    return [
        f"{path}: {before.get(path)} -> {after.get(path)}"
        for path in sorted(before.keys() | after.keys())
        if before.get(path) != after.get(path)
    ]
