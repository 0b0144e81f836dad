"""Where the arguments come from of kernels that will be installed."""

from __future__ import annotations

from collections.abc import Mapping

from kautopsy.arming import shellfile
from kautopsy.arming.bootloader import default_grub
from kautopsy.arming.bootloader.grubenv import variables
from kautopsy.arming.bootloader.words import words_of
from kautopsy.model.host import BootEntry, BootTemplate, Loader


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
        else:
            # kernel-install and 20-grub.install take the running kernel's, /proc/cmdline: what
            # the next boot will have. Arch's entries are written once, and name no version.
            assert entry is not None
            found.append(BootTemplate(source=entry.source, arguments=entry.arguments))
    if entry is None and "/etc/kernel/cmdline" in files:
        # Of unified kernel images it becomes a part.
        path = "/etc/kernel/cmdline"
        return (BootTemplate(source=path, arguments=words_of(files[path])),)
    if loader in (Loader.GRUB2, None) and "/etc/default/grub" in files:
        xen = entry is not None and entry.hypervisor == "xen"
        found.append(
            _default_grub(files, default_grub.XEN_VARIABLES if xen else default_grub.VARIABLES)
        )
    return tuple(found)


def _kernelopts(files: Mapping[str, str]) -> BootTemplate | None:
    """Of el8: entries refer to $kernelopts, and so will the next one."""
    if not any("$kernelopts" in t for p, t in files.items() if "/loader/entries/" in p):
        return None
    for path, text in files.items():
        if path.endswith("/grubenv") and "kernelopts" in variables(text):
            return BootTemplate(source=path, arguments=words_of(variables(text)["kernelopts"]))
    return None


def _default_grub(files: Mapping[str, str], variables: tuple[str, ...]) -> BootTemplate:
    """As grub-mkconfig reads it: the file, then Debian's grub.d, each sourced by sh."""
    texts = {
        path: text
        for path, text in files.items()
        if path == default_grub.PATH or path.startswith(f"{default_grub.FOLDER}/")
    }
    source = default_grub.PATH
    for path in default_grub.in_order(tuple(texts)):
        if any("crashkernel=" in shellfile.raw_value(texts[path], v) for v in variables):
            source = path
    return BootTemplate(source=source, arguments=default_grub.arguments(texts, variables))
