"""Where is a Debian archive? This host's own configuration knows; nothing is hard-coded."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from kautopsy.lab.errors import NoMirrorError

VARIABLE = "KAUTOPSY_DEBIAN_MIRROR"
TEMPLATE = Path("/usr/share/python-apt/templates/Debian.info")

# Origin and label come from downloaded lists, which a container image may have removed.
_FORMAT = "$(REPO_URI) $(RELEASE) $(COMPONENT) $(TARGET_OF) $(ORIGIN):$(LABEL)"
_SUITES = re.compile(
    r"(?:(?:old){0,2}stable|testing|unstable|sid|buster|bullseye|bookworm|trixie|forky)"
)


def debian_mirror(*, template: Path = TEMPLATE) -> str:
    """The address of a Debian archive (the directory that has ``dists`` and ``pool``).

    In this order: ``KAUTOPSY_DEBIAN_MIRROR``; what this host's apt uses, if it is a Debian; the
    address that python-apt's template for Debian gives (package python-apt-common, for hosts that
    run a derivative).

    :raises NoMirrorError: nothing names one
    """
    if named := os.environ.get(VARIABLE, "").strip():
        return named.rstrip("/")
    if found := _from_targets(_index_targets()) or _from_template(template):
        return found
    raise NoMirrorError(
        "no Debian archive is configured on this machine",
        hint=f"set {VARIABLE} to the address of one, or install python-apt-common",
    )


def _index_targets() -> str:
    if shutil.which("apt-get") is None:
        return ""
    done = subprocess.run(
        ["apt-get", "indextargets", "--format", _FORMAT, "Created-By: Packages"],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout


def _from_targets(targets: str) -> str | None:
    """The first archive among apt's targets that holds Debian's own main component."""
    for line in targets.splitlines():
        fields = line.split(" ", 4)
        if len(fields) < 5:
            continue
        address, release, component, kind, origin = fields
        known = origin == "Debian:Debian" or (origin == ":" and _SUITES.fullmatch(release))
        if known and component == "main" and kind == "deb" and not address.startswith("cdrom:"):
            return address.rstrip("/")
    return None


def _from_template(template: Path) -> str | None:
    try:
        text = template.read_text()
    except OSError:
        return None
    match = re.search(r"^BaseURI:\s*(\S+)$", text, re.MULTILINE)
    return match[1].rstrip("/") if match else None
