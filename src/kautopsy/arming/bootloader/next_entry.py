"""Which loader this machine has, and what it will start."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from kautopsy.arming.bootloader import bls, grub2, grub_legacy, zipl
from kautopsy.arming.bootloader.grubenv import variables
from kautopsy.model.host import BootEntry, Loader

_GRUB_LEGACY = ("/boot/grub/grub.conf", "/boot/grub/menu.lst")
_GRUB2 = ("/boot/grub2/grub.cfg", "/boot/grub/grub.cfg")


def next_entry(files: Mapping[str, str], *, efi: bool = False) -> BootEntry | None:
    """The kernel that starts next; None if no known loader's files are there.

    :param efi: the firmware is UEFI: its system partition's grub.cfg counts before /boot's
    """
    environment: dict[str, str] = {}
    for path, text in files.items():
        if path.endswith("/grubenv"):
            environment.update(variables(text))
    entries = [
        entry
        for path, text in files.items()
        if "/loader/entries/" in path and (entry := bls.parse(path, text)) is not None
    ]
    for path in grub_configs(files, efi=efi):
        text = files[path]
        if grub2.uses_bls(text) and entries:
            return bls.grub_entry(entries, grub2.chosen(text, environment), environment)
        found = grub2.next_entry(path, text, environment)
        if found is not None:
            return found
    loader_conf = next((t for p, t in files.items() if p.endswith("/loader/loader.conf")), "")
    if entries:
        found = bls.systemd_boot_entry(entries, loader_conf)
        if found is not None and zipl.PATH in files:
            found = msgspec.structs.replace(found, loader=Loader.ZIPL)
        return found
    if zipl.PATH in files and (found := zipl.next_entry(files[zipl.PATH])):
        return found
    efi_legacy = [p for p in files if p.startswith("/boot/efi/") and p.endswith("/grub.conf")]
    for path in (*_GRUB_LEGACY, *efi_legacy):
        if path in files and (found := grub_legacy.next_entry(path, files[path])):
            return found
    return None


def grub_configs(files: Mapping[str, str], *, efi: bool = False) -> list[str]:
    """The grub.cfg there are, in the order in which they count.

    el7 has one place or the other; elsewhere the system partition's only leads to /boot's.
    """
    own = [p for p in files if p.startswith("/boot/efi/") and p.endswith("/grub.cfg")]
    paths = (*own, *_GRUB2) if efi else (*_GRUB2, *own)
    return [path for path in paths if path in files]
