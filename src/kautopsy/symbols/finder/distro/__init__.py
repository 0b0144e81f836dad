"""From ``uname -r`` to packages: one module for each distribution, found by its name.

A page has one function, ``leads(release, arch) -> tuple[Lead, ...]``, which answers nothing for a
kernel that is not its own. Rebuilds of RHEL name their kernels alike, so several may answer; the
build-id decides.
"""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

from kautopsy.model.errors import UsageError
from kautopsy.symbols.finder.distro.offer import Lead

_NOT_PAGES = {"offer", "elrelease"}
# ID in os-release(5) where it is not the page's name.
_ALIASES = {
    "ol": "oracle",
    "opensuse-leap": "suse",
    "opensuse-tumbleweed": "suse",
    "sles": "suse",
}


def distributions() -> list[str]:
    """The names of all pages."""
    names = (m.name for m in pkgutil.iter_modules(__path__))
    return sorted(name for name in names if name not in _NOT_PAGES)


def leads(release: str, arch: str, *, distribution: str | None = None) -> tuple[Lead, ...]:
    """Who may have the debugging information of ``release``, this machine's distribution first.

    :param arch: ``uname -m`` of the machine that crashed, for names that do not tell
    :param distribution: ask this page only
    :raises UsageError: there is no such page
    """
    if distribution and distribution not in distributions():
        raise UsageError(
            "is no distribution that the finder knows",
            thing=distribution,
            hint=f"it knows {', '.join(distributions())}",
        )
    names = [distribution] if distribution else distributions()
    names.sort(key=lambda name: name != _own())
    pages = (importlib.import_module(f"{__name__}.{name}") for name in names)
    return tuple(lead for page in pages for lead in page.leads(release, arch))


def _own() -> str:
    """The page of the machine we run on: who analyses Rocky's dumps often does so on Rocky."""
    try:
        for line in Path("/etc/os-release").read_text().splitlines():
            if line.startswith("ID="):
                name = line.removeprefix("ID=").strip("\"'")
                return _ALIASES.get(name, name)
    except OSError:
        pass
    return ""
