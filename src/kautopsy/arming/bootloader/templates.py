"""Where the arguments come from of kernels that will be installed."""

from __future__ import annotations

import re
from collections.abc import Mapping

from kautopsy.arming.bootloader.grubenv import variables
from kautopsy.arming.bootloader.words import words_of
from kautopsy.model.host import BootEntry, BootTemplate, Loader

_ASSIGNMENT = re.compile(
    r"^\s*(?:export\s+)?(GRUB_CMDLINE_LINUX(?:_DEFAULT)?)=(?:\"([^\"]*)\"|'([^']*)'|(\S*))",
    re.MULTILINE,
)
_REFERENCE = re.compile(r"\$\{?(GRUB_CMDLINE_LINUX(?:_DEFAULT)?)\}?")


def templates(files: Mapping[str, str], entry: BootEntry | None) -> tuple[BootTemplate, ...]:
    """The templates that the machine's boot loader takes, each with its arguments."""
    loader = entry.loader if entry else None
    if entry is not None and loader is Loader.GRUB_LEGACY:
        # new-kernel-pkg copies the arguments of the default entry.
        return (BootTemplate(source=entry.source, arguments=entry.arguments),)
    found = []
    if loader is Loader.GRUB2_BLS and (environment := _kernelopts(files)) is not None:
        found.append(environment)
    if entry is not None and entry.source.rpartition("/")[2].startswith("ostree-"):
        # The next deployment takes the arguments of the one it replaces.
        return (BootTemplate(source=entry.source, arguments=entry.arguments),)
    if entry is not None and loader is Loader.ZIPL and entry.source == "/etc/zipl.conf":
        return (BootTemplate(source=entry.source, arguments=entry.arguments),)
    if loader in (Loader.GRUB2_BLS, Loader.SYSTEMD_BOOT, Loader.ZIPL) and not found:
        for path in ("/etc/kernel/cmdline", "/usr/lib/kernel/cmdline"):
            if path in files:
                arguments = words_of(files[path])
                found.append(BootTemplate(source=path, arguments=arguments))
                break
    if loader in (Loader.GRUB2, None) and "/etc/default/grub" in files:
        found.append(_default_grub(files))
    return tuple(found)


def _kernelopts(files: Mapping[str, str]) -> BootTemplate | None:
    """Of el8: entries refer to $kernelopts, and so will the next one."""
    if not any("$kernelopts" in t for p, t in files.items() if "/loader/entries/" in p):
        return None
    for path, text in files.items():
        if path.endswith("/grubenv") and "kernelopts" in variables(text):
            return BootTemplate(source=path, arguments=words_of(variables(text)["kernelopts"]))
    return None


def _default_grub(files: Mapping[str, str]) -> BootTemplate:
    """As grub-mkconfig reads it: the file, then Debian's grub.d, each sourced by sh."""
    parts = sorted(p for p in files if p.startswith("/etc/default/grub.d/"))
    values = {"GRUB_CMDLINE_LINUX": "", "GRUB_CMDLINE_LINUX_DEFAULT": ""}
    source = "/etc/default/grub"
    for path in [source, *parts]:
        for name, double, single, bare in _ASSIGNMENT.findall(files[path]):
            raw = double or single or bare
            value = _REFERENCE.sub(lambda match: values[match[1]], raw)
            if "crashkernel=" in raw:
                source = path
            values[name] = value
    arguments = words_of(" ".join(values.values()))
    return BootTemplate(source=source, arguments=arguments)
