"""What a machine that is just being installed runs, for each family: no file of another machine."""

from __future__ import annotations

import shlex

from kautopsy.arming.distribution.debian import Debian
from kautopsy.arming.distribution.redhat import RedHat
from kautopsy.arming.distribution.suse import Suse
from kautopsy.arming.emit.what import Goals
from kautopsy.model.errors import RefusedError


def commands(goals: Goals) -> list[tuple[str, ...]]:
    """Asks for memory at the next boot, by the family's own program.

    :raises RefusedError: there is none that kautopsy knows
    """
    if not goals.crashkernel:
        return []
    words = " ".join(goals.words)
    if isinstance(goals.family, RedHat):
        grubby = ("grubby", "--update-kernel=ALL", f"--args={words}")
        return [grubby, ("zipl",)] if goals.facts.machine == "s390x" else [grubby]
    variable = "GRUB_CMDLINE_LINUX_DEFAULT"
    if isinstance(goals.family, Debian):
        line = f'{variable}="${variable} {words}"'
        path = "/etc/default/grub.d/kdump-tools.cfg"
        write = f"printf '%s\\n' {shlex.quote(line)} > {path}"
        return [("sh", "-c", write), ("update-grub",)]
    if isinstance(goals.family, Suse):
        edit = f's|^\\({variable}="[^"]*\\)"|\\1 {words}"|'
        return [
            ("sed", "-i", edit, "/etc/default/grub"),
            ("grub2-mkconfig", "-o", "/boot/grub2/grub.cfg"),
        ]
    raise RefusedError(
        "how this distribution's first boot sets kernel arguments is not known",
        thing=goals.name,
        hint="--emit shell or --emit ansible",
        slug="not-emitted",
    )
