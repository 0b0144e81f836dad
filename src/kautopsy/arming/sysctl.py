"""Which events panic a machine: what is set, why, and what must not be set together.

Documentation/admin-guide/sysctl/kernel.rst says what each means. They are set by sysctl.d and not
on the kernel's command line, which the capture kernel inherits.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from kautopsy.arming.policy import Policy, sysctl_text
from kautopsy.model.errors import RefusedError
from kautopsy.model.host import HostFacts

PATH = "/etc/sysctl.d/zz-kautopsy.conf"
OLD_PATH = "/etc/sysctl.conf"
X86 = ("x86_64", "i686", "i586", "i386")
Age = tuple[int, int, int]
# Before 2.6.37 the NMI watchdog was one of its own, and unknown_nmi_panic excluded it.
OLD_WATCHDOG: Age = (2, 6, 37)
# b227e23399dc ("x86, nmi: Add in logic to handle multiple events and unknown NMIs", 3.3) swallows
# what perf's counters leave behind; before it, an NMI of the watchdog could go unclaimed.
SWALLOWS: Age = (3, 3, 0)
_THRESH: Age = (2, 6, 36)
_LINE = re.compile(r"^[ \t]*-?([\w./]+)[ \t]*=[ \t]*(.*?)[ \t]*$")


@dataclass(frozen=True)
class Default:
    """A sysctl that a machine needs to leave a dump.

    :ivar keeps: a value found there is good as well
    """

    name: str
    value: str
    keeps: Callable[[str], bool]
    x86: bool = False


def _not_zero(value: str) -> bool:
    return value not in ("0", "")


def _dumps_by_key(value: str) -> bool:
    """SYSRQ_ENABLE_DUMP is 8; 1 is everything (drivers/tty/sysrq.c)."""
    return value.isdecimal() and (int(value[:9]) == 1 or bool(int(value[:9]) & 8))


DEFAULTS = (
    Default("kernel.sysrq", "1", _dumps_by_key),
    Default("kernel.panic", "10", _not_zero),
    Default("kernel.panic_on_oops", "1", _not_zero),
    Default("kernel.softlockup_panic", "1", _not_zero),
    Default("kernel.watchdog_thresh", "10", _not_zero),
    Default("kernel.hardlockup_panic", "1", _not_zero),
    Default("kernel.unknown_nmi_panic", "1", _not_zero, x86=True),
)
# What would panic a capture kernel, which is slow and alone.
TRIGGERS = (
    "kernel.softlockup_panic",
    "kernel.hardlockup_panic",
    "kernel.hung_task_panic",
    "kernel.unknown_nmi_panic",
    "kernel.panic_on_warn",
    "kernel.panic_on_rcu_stall",
    "vm.panic_on_oom",
)


@dataclass(frozen=True)
class Wanted:
    """What shall be set, by name; and what was decided on the way."""

    values: dict[str, str]
    notes: tuple[str, ...] = ()


def age(release: str) -> Age:
    """``6.1.0-50-amd64`` as (6, 1, 0); zeros where there is no number."""
    match = re.match(r"(\d{1,3})\.(\d{1,4})(?:\.(\d{1,4}))?", release)
    return (int(match[1]), int(match[2]), int(match[3] or 0)) if match else (0, 0, 0)


def wanted(facts: HostFacts, policy: Policy) -> Wanted:
    """The sysctls for this machine and its kernel.

    :raises RefusedError: the policy wants what excludes each other
    """
    notes: list[str] = []
    explicit = {n: sysctl_text(v) for n, v in policy.sysctl.items() if v is not False}
    left = {name for name, value in policy.sysctl.items() if value is False}
    values: dict[str, str] = {}
    for default in DEFAULTS if policy.defaults else ():
        found = facts.sysctl(default.name)
        if default.x86 and facts.machine and facts.machine not in X86:
            continue
        if default.name == "kernel.unknown_nmi_panic" and (why := _stray_nmis(facts)):
            if default.name not in explicit:
                notes.append(f"kernel.unknown_nmi_panic is left alone: {why}")
            continue
        values[default.name] = found if found and default.keeps(found) else default.value
    values.update(explicit)
    for name in left:
        values.pop(name, None)
    _nmi_rules(facts, values, explicit, left, notes)
    _translate_threshold(facts, values)
    _refuse_nonsense(values)
    for name in list(values):
        if facts.live and facts.sysctls and facts.sysctl(name) is None and name in _PROBED:
            notes.append(f"this kernel has no {name}")
            del values[name]
    return Wanted(values, tuple(notes))


_PROBED = frozenset({default.name for default in DEFAULTS} | {"kernel.nmi_watchdog"})


def _stray_nmis(facts: HostFacts) -> str:
    """Why an NMI that nobody claims may be no operator's here."""
    log = facts.log or ()
    if any("Uhhuh" in line or "NMI received for unknown" in line for line in log):
        return "this machine has had NMIs that nobody claims"
    if "ghes" in (facts.modules or ()) or any("GHES" in line for line in log):
        return "its firmware reports errors by NMI (GHES)"
    return ""


def _nmi_rules(
    facts: HostFacts,
    values: dict[str, str],
    explicit: dict[str, str],
    left: set[str],
    notes: list[str],
) -> None:
    """unknown_nmi_panic and the NMI watchdog, by the age of the kernel."""
    kernel = age(facts.release)
    if values.get("kernel.unknown_nmi_panic", "0") == "0" or not (0, 0, 0) < kernel < SWALLOWS:
        return
    name = "kernel.nmi_watchdog"
    why = (
        "on kernels before 2.6.37 unknown_nmi_panic and nmi_watchdog exclude each other"
        if kernel < OLD_WATCHDOG
        else "before 3.3 an NMI of nmi_watchdog's counter can go unclaimed and panic the machine"
    )
    if explicit.get(name, "0") != "0":
        if "kernel.unknown_nmi_panic" in explicit:
            raise RefusedError(
                f"{why}; the policy wants both",
                thing=facts.release,
                hint="choose one of kernel.unknown_nmi_panic and kernel.nmi_watchdog",
                slug="policy-conflict",
            )
        del values["kernel.unknown_nmi_panic"]
        notes.append(f"kernel.unknown_nmi_panic is left alone: {why}")
    elif name not in left:
        values[name] = "0"
        values.pop("kernel.hardlockup_panic", None)
        notes.append(f"{name} = 0: {why}")


def _translate_threshold(facts: HostFacts, values: dict[str, str]) -> None:
    """softlockup_thresh became watchdog_thresh in 2.6.36, and a soft lockup twice its seconds."""
    old = facts.sysctl("kernel.softlockup_thresh") is not None
    if not facts.live:
        old = (0, 0, 0) < age(facts.release) < _THRESH
    value = values.get("kernel.watchdog_thresh", "")
    if facts.sysctl("kernel.watchdog_thresh") is None and old and value.isdecimal():
        del values["kernel.watchdog_thresh"]
        values.setdefault("kernel.softlockup_thresh", str(2 * int(value)))


def _refuse_nonsense(values: dict[str, str]) -> None:
    rules = (
        ("kernel.softlockup_panic", "kernel.watchdog_thresh", "the detector is switched off"),
        ("kernel.hung_task_panic", "kernel.hung_task_timeout_secs", "nobody looks for hung tasks"),
    )
    for panic, switch, why in rules:
        if values.get(panic, "0") != "0" and values.get(switch) == "0":
            raise RefusedError(
                f"{panic} with {switch} = 0 never comes: {why}", thing=panic, slug="policy-conflict"
            )
    if values.get("kernel.kexec_load_disabled", "0") != "0":
        raise RefusedError(
            "is a latch: set at boot, it keeps the kdump service from loading the image",
            thing="kernel.kexec_load_disabled",
            hint="let a unit that starts after kdump set it",
            slug="policy-conflict",
        )


def document(values: dict[str, str]) -> str:
    """A file of sysctl.d."""
    lines = ["# Written by kautopsy arm; kautopsy disarm takes it away."]
    lines += [f"{name} = {value}" for name, value in sorted(values.items())]
    return "\n".join(lines) + "\n"


def with_values(text: str, values: dict[str, str], *, add: bool) -> str:
    """The text of /etc/sysctl.conf with ``values`` in place of others; ``add`` what is missing."""
    lines = text.split("\n")
    missing = dict(values)
    for i, line in enumerate(lines):
        match = _LINE.match(line)
        name = match[1].replace("/", ".") if match else ""
        if match and name in values:
            missing.pop(name, None)
            if match[2] != values[name]:
                lines[i] = line[: match.start(2)] + values[name] + line[match.end(2) :]
    if not add or not missing:
        return "\n".join(lines)
    more = [f"{name} = {value}" for name, value in sorted(missing.items())]
    body = "\n".join(lines)
    gap = "" if not body or body.endswith("\n") else "\n"
    return body + gap + "\n".join(more) + "\n"
