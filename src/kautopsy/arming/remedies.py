"""Commands that mend what a check found, where the distribution has no word of its own for it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from kautopsy.model.host import HostFacts, Loader


def set_sysctls(name: str, values: Mapping[str, str]) -> str:
    """For every boot, in a file called ``name``, and now."""
    path = f"/etc/sysctl.d/{name}.conf"
    lines = " ".join(f"'{key} = {value}'" for key, value in values.items())
    return f"printf '%s\\n' {lines} > {path} && sysctl -p {path}"


def edit_command_line(
    facts: HostFacts, *, add: Sequence[str] = (), drop: Sequence[str] = ()
) -> str:
    """Words of the next boots' kernel command line; "" where its boot loader needs a hand.

    :param drop: names of words, with whatever value
    """
    if facts.ostree:
        words = [f"--append-if-missing={word}" for word in add]
        words += [f"--delete-if-present={word}" for word in _words(facts, drop)]
        return f"rpm-ostree kargs {' '.join(words)} && systemctl reboot"
    if "grubby" in facts.tools:
        words = [f"--args='{' '.join(add)}'"] * bool(add)
        words += [f"--remove-args='{' '.join(drop)}'"] * bool(drop)
        return f"grubby --update-kernel=ALL {' '.join(words)} && reboot"
    if facts.boot is None or facts.boot.loader is not Loader.GRUB2:
        return ""
    edits = [f's/^GRUB_CMDLINE_LINUX="/&{" ".join(add)} /'] * bool(add)
    edits += [f"/^GRUB_CMDLINE_LINUX/{{{without(drop)};}}"] * bool(drop)
    make = (
        "update-grub"
        if "update-grub" in facts.tools
        else f"grub{'2' * ('grub2' in facts.boot.source)}-mkconfig -o {facts.boot.source}"
    )
    sed = " ".join(f"-e '{edit}'" for edit in edits)
    return f"sed -E -i {sed} /etc/default/grub && {make} && reboot"


def without(names: Sequence[str]) -> str:
    """``sed -E``'s commands that take words out of a line, one at a time: they share blanks."""
    alternatives = "|".join(re.escape(name) for name in names)
    return rf':a;s/(^|[" ])({alternatives})(=[^" ]*)?($|[" ])/\1\4/;ta'


def _words(facts: HostFacts, names: Sequence[str]) -> list[str]:
    return [word for word in facts.cmdline or () if word.split("=", 1)[0] in names]
