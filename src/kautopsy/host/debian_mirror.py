"""Where is Debian's archive? This machine's own configuration knows; no address stands here."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from pathlib import Path

from kautopsy.model.errors import KautopsyError

MIRROR_VARIABLE = "KAUTOPSY_DEBIAN_MIRROR"
"""Address of the archive, up to but without ``dists``; overrides what apt is configured with."""

_TEMPLATES = Path("/usr/share/python-apt/templates/Debian.info")
_TARGET = "$(REPO_URI) $(RELEASE) $(COMPONENT) $(TARGET_OF) $(ORIGIN):$(LABEL)"
_KNOWN_SUITES = re.compile(
    r"(?:old){0,2}stable|testing|unstable|sid|buster|bullseye|bookworm|trixie|forky"
)


def debian_mirror() -> str:
    """The archive's address without a trailing slash.

    :raises KautopsyError: nothing on this machine tells it
    """
    if value := os.environ.get(MIRROR_VARIABLE, "").strip():
        return value.rstrip("/")
    if found := _configured("Debian"):
        return found
    with contextlib.suppress(OSError):
        for line in _TEMPLATES.read_text().splitlines():
            if line.startswith("BaseURI:") and line.rstrip("/").endswith("/debian"):
                return line.split(":", 1)[1].strip().rstrip("/")
    raise KautopsyError(
        "nothing on this machine tells where Debian's archive is",
        thing="apt",
        hint=f"set {MIRROR_VARIABLE} to its address, or install python-apt-common",
        slug="no-debian-mirror",
    )


def debian_security_mirror() -> str:
    """The address of the archive of security updates, which mirrors keep beside the main one."""
    if not os.environ.get(MIRROR_VARIABLE, "").strip() and (
        found := _configured("Debian-Security")
    ):
        return found
    return f"{debian_mirror()}-security"


def apt_environment() -> dict[str, str]:
    """apt's tools speak English and ask nothing."""
    return {**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}


def _configured(label: str) -> str | None:
    """The first archive with that label among what this machine's apt is configured with."""
    if shutil.which("apt-get") is None:
        return None
    done = subprocess.run(
        ["apt-get", "indextargets", "--format", _TARGET, "Created-By: Packages"],
        capture_output=True,
        text=True,
        env=apt_environment(),
        check=False,
    )
    for line in done.stdout.splitlines():
        if line.count(" ") < 4:
            continue
        address, codename, component, kind, origin = line.split(" ", 4)
        # Origin and label come from downloaded lists, which a container's image may have removed.
        nameless = origin == ":" and label == "Debian" and _KNOWN_SUITES.fullmatch(codename)
        if (
            (origin == f"Debian:{label}" or nameless)
            and (component, kind) == ("main", "deb")
            and not address.startswith("cdrom:")
        ):
            return address.rstrip("/")
    return None
