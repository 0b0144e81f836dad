"""Make a machine of the lab ready to be drilled: nobody armed it, and it is thrown away after."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from kautopsy.arming.apply import apply
from kautopsy.arming.plan import look_and_plan
from kautopsy.arming.policy import Policy
from kautopsy.host.inventory import Machine
from kautopsy.host.target import open_host
from kautopsy.model.errors import UnreachableError

_BOOT_ID = "/proc/sys/kernel/random/boot_id"
# A guest that gets no CPU for half a minute has a soft lockup, which is no reason to panic here.
_POLICY = Policy(sysctl={"kernel.watchdog_thresh": 60})
_QUICK = ("ConnectTimeout=10",)
_PAUSE = 2.0


def make_ready(machine: Machine, tell: Callable[[str], None], *, patience: float) -> None:
    """Arm it as ``kautopsy arm --apply`` does, and reboot it.

    :param patience: seconds that the reboot may take
    :raises UnreachableError: it does not come back
    :raises KautopsyError: a step of arming failed
    """
    with open_host(machine.target, jump=machine.jump, options=machine.options) as host:
        _, work = look_and_plan(host, _POLICY)
        if not work.deeds:
            return
        apply(host, work, tell)
        before = host.read(_BOOT_ID)
        tell("reboot")
        with contextlib.suppress(UnreachableError):
            host.run(["systemctl", "reboot"], timeout=30)
    deadline = time.monotonic() + patience
    while True:
        # A connection of its own: one to a machine that went away may hang.
        with open_host(machine.target, jump=machine.jump, options=(*_QUICK, *machine.options)) as h:
            try:
                if h.read(_BOOT_ID) != before:
                    h.run(["systemctl", "is-system-running", "--wait"], timeout=patience)
                    return
            except UnreachableError:
                if time.monotonic() > deadline:
                    raise
        if time.monotonic() > deadline:
            raise UnreachableError(
                f"does not reboot in {patience:.0f} s", thing=machine.name, slug="timed-out"
            )
        time.sleep(_PAUSE)
