"""A generated grub.cfg: ``menuentry`` blocks, in ``submenu`` blocks too, with ``linux`` lines.

It is a script, and only what grub-mkconfig writes is understood: ``set default=``, with
``${saved_entry}`` and ``${next_entry}`` out of grubenv.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from kautopsy.arming.bootloader.words import behind, words_of
from kautopsy.arming.bootloader.words import with_values as edited
from kautopsy.model.host import BootEntry, Loader

_XEN = re.compile(r"^\s*(?:multiboot2?|xen_hypervisor)\s+\S*xen\S*\s*(.*)$")
_LINUX = re.compile(r"^\s*(?:linux|linux16|linuxefi)\s+(\S+)\s*(.*)$")
_LINUX_LINE = re.compile(r"^(\s*(?:linux|linux16|linuxefi)\s+(\S+)\s*)(.*)$", re.DOTALL)
# memtest86+ is started as a kernel too.
_KERNEL = re.compile(r"(?:^|/)(?:vmlinu[xz]|linux|kernel|[bz]*Image)[^/]*$")
_RECOVERY = ("single", "recovery", "rescue", "emergency", "systemd.unit=rescue.target")
_MENU = re.compile(r"^\s*(menuentry|submenu)\s+(.*)$")
_DEFAULT = re.compile(r"^\s*set\s+default=[\"']?([^\"']*)[\"']?\s*$")
_ID = re.compile(r"(?:--id|\$menuentry_id_option)\s+(\S+)")
_VARIABLE = re.compile(r"\$\{?(\w+)\}?")


@dataclass
class _Menu:
    """A menu entry or a submenu."""

    title: str
    id: str
    arguments: tuple[str, ...] | None = None
    hypervisor: str = ""
    children: list[_Menu] = field(default_factory=list)


def uses_bls(text: str) -> bool:
    """Whether this grub.cfg takes its entries from /boot/loader/entries."""
    return re.search(r"^\s*blscfg\b", text, re.MULTILINE) is not None


def next_entry(path: str, text: str, environment: Mapping[str, str]) -> BootEntry | None:
    """The entry that ``default`` means: a number, a title or an id, ``a>b`` in a submenu."""
    default = chosen(text, environment)
    menu = _menus(text)
    entry: _Menu | None = None
    for part in default.split(">"):
        entry = _pick(menu, part.strip())
        if entry is None:
            break
        menu = entry.children
    if entry is None or entry.arguments is None:
        # GRUB starts the first entry where the default is none.
        entry = next((e for e in _menus(text) if e.arguments is not None), None)
    if entry is None or entry.arguments is None:
        return None
    return BootEntry(
        loader=Loader.GRUB2,
        source=path,
        title=entry.title,
        arguments=entry.arguments,
        hypervisor=entry.hypervisor,
    )


def chosen(text: str, environment: Mapping[str, str]) -> str:
    """The default of a grub.cfg, its variables expanded; "0" where it has none."""
    if environment.get("next_entry"):
        return environment["next_entry"]
    default = "0"
    for line in text.splitlines():
        match = _DEFAULT.match(line)
        # "if [ "${next_entry}" ]; then set default="${next_entry}"; else set default=..."
        if match and "next_entry" not in match[1]:
            default = _VARIABLE.sub(lambda m: environment.get(m[1], ""), match[1]) or "0"
    return default


def with_values(text: str, name: str, values: Sequence[str], *, recovery: bool = True) -> str:
    """A generated grub.cfg with ``name=value`` on the lines that start a Linux kernel.

    :param recovery: on those of recovery entries too (what GRUB_CMDLINE_LINUX does)
    """
    lines = text.split("\n")
    for i, line in enumerate(lines):
        match = _LINUX_LINE.match(line)
        if match is None or not _KERNEL.search(match[2]):
            continue
        if recovery or not set(_RECOVERY) & set(match[3].split()):
            lines[i] = behind(match[1], edited(match[3], name, values))
    return "\n".join(lines)


def _pick(menu: list[_Menu], name: str) -> _Menu | None:
    if name.isascii() and name.isdecimal() and len(name) < 5:
        return menu[int(name)] if int(name) < len(menu) else None
    return next((e for e in menu if name in (e.title, e.id)), None)


def _menus(text: str) -> list[_Menu]:
    top: list[_Menu] = []
    open_blocks: list[_Menu | None] = []
    for line in text.splitlines():
        stripped = line.strip()
        match = _MENU.match(line)
        if match and stripped.endswith("{"):
            title, name = _names(match[2])
            entry = _Menu(title, name)
            parent = next((b for b in reversed(open_blocks) if b is not None), None)
            (top if parent is None else parent.children).append(entry)
            open_blocks.append(entry)
        elif stripped.endswith("{"):
            open_blocks.append(None)
        elif stripped == "}" and open_blocks:
            open_blocks.pop()
        elif (starts := _LINUX.match(line) or _XEN.match(line)) and open_blocks:
            block = next((b for b in reversed(open_blocks) if b is not None), None)
            if block is not None and block.arguments is None:
                block.arguments = words_of(starts[starts.re.groups])
                block.hypervisor = "xen" if starts.re is _XEN else ""
    return top


def _names(rest: str) -> tuple[str, str]:
    try:
        words = shlex.split(rest.rstrip("{ \t"))
    except ValueError:
        words = rest.split()
    title = words[0] if words else ""
    match = _ID.search(rest)
    return title, match[1].strip("'\"") if match else ""
