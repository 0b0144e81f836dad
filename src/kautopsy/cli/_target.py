"""TARGET of the verbs that work on one machine: what the inventory knows, and guests of the lab."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kautopsy.host.host import Host


@contextmanager
def open_target(
    target: str, *, jump: str | None = None, options: Sequence[str] = ()
) -> Iterator[Host]:
    """As :func:`kautopsy.host.target.open_host`, for names of the inventory too; what the command
    line says wins. ``lab:NAME`` may boot a machine first.
    """
    from kautopsy.host.inventory import load
    from kautopsy.host.target import open_host

    if not target.startswith("lab:"):
        if target != "local" and not target.startswith("tree:"):
            known = load()
            if target.rpartition("@")[2] in known.machines:
                entry = known.machine(target)
                target, jump = entry.target, jump or entry.jump
                options = (*options, *entry.options)
        with open_host(target, jump=jump, options=options) as host:
            yield host
        return
    from kautopsy.lab.machines.running import lab_machine

    with (
        lab_machine(target) as machine,
        open_host(machine.target, options=(*options, *machine.options)) as host,
    ):
        yield host
