"""What must change on a machine so that it does as the policy says."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from kautopsy.arming import sysctl
from kautopsy.arming.answers import ask
from kautopsy.arming.bootloader.change import Changes, change
from kautopsy.arming.bootloader.words import values_of
from kautopsy.arming.deeds import CommandDeed, Deed, FileDeed, LinkDeed, Work
from kautopsy.arming.distribution import UNKNOWN, family_of
from kautopsy.arming.distribution.family import Family
from kautopsy.arming.distribution.redhat import RedHat
from kautopsy.arming.facts import from_answers
from kautopsy.arming.files import Files
from kautopsy.arming.policy import Policy
from kautopsy.arming.sizes import MIB, asked_for, in_range
from kautopsy.arming.sizing import Sizing, sizing
from kautopsy.host.host import Host
from kautopsy.model.errors import RefusedError, UnreadableError
from kautopsy.model.host import HostFacts

_UNITS = ("/usr/lib/systemd/system", "/lib/systemd/system")
_HIGH = 896 * MIB
# Ranges came with 2.6.24 ("Extended crashkernel command line"), a place that x86 finds by itself
# with 2.6.27 ("x86: find offset for crashkernel automatically").
_EXTENDED: sysctl.Age = (2, 6, 27)


def look_and_plan(host: Host, policy: Policy) -> tuple[HostFacts, Work]:
    """Probe a machine and make its plan.

    :raises RefusedError: nothing can make this machine leave a dump, or the policy contradicts
        itself
    :raises UnreachableError: it does not answer
    """
    facts = from_answers(ask(host), live=host.live)
    return facts, plan(host, facts, policy)


def plan(host: Host, facts: HostFacts, policy: Policy) -> Work:
    """The steps in order, what was decided, and what is left to the operator."""
    _refuse_the_impossible(facts)
    family = family_of(facts.os)
    if facts.os is None or (family is UNKNOWN and facts.boot is None and not facts.templates):
        return _by_hand(facts, policy)
    files = Files(host)
    values, notes = _crashkernel(facts, policy)
    deeds: list[Deed] = []
    manual: list[str] = []
    service = _service(facts, family, policy, files)
    boot = _boot(facts, family, files, values)
    wanted = sysctl.wanted(facts, policy)
    # A new package comes first: it brings files that are edited then, and starts with its own
    # values. The loader's steps come before the service, which loads nothing without memory.
    deeds += service.before
    deeds += boot.deeds
    deeds += _sysctls(facts, family, files, policy, wanted.values)
    deeds += service.after
    manual += service.manual + boot.manual
    reboot = bool(boot.deeds) or (facts.live and bool(values) and not facts.kexec.size)
    if facts.live and not facts.root and deeds:
        notes.append("without root nothing of this can be done: log in as root, or have sudo work")
    return Work(
        tuple(deeds),
        (*notes, *wanted.notes),
        tuple(manual),
        reboot=reboot and bool(values),
        crashkernel=tuple(values),
        sysctls=wanted.values,
        sysctl_file=_sysctl_file(facts, family),
    )


def _refuse_the_impossible(facts: HostFacts) -> None:
    if facts.container:
        raise RefusedError(
            f"is a container ({facts.container}): its kernel belongs to the host",
            thing=facts.node or "this",
            hint="arm the host",
            slug="container",
        )
    missing = [name for name in ("CRASH_DUMP", "PROC_VMCORE") if facts.option(name) is False]
    if facts.option("KEXEC") is False and facts.option("KEXEC_FILE") is False:
        missing.insert(0, "KEXEC")
    if facts.kexec.supported is False or missing:
        raise RefusedError(
            "its kernel cannot load a capture kernel"
            + (f" (built without {', '.join(missing)})" if missing else ""),
            thing=facts.release or facts.node or "this",
            hint="boot the distribution's own kernel",
            slug="no-kexec",
        )


def _by_hand(facts: HostFacts, policy: Policy) -> Work:
    """Nothing is known of this distribution: nothing is touched."""
    values, _ = _crashkernel(facts, policy)
    wanted = sysctl.wanted(facts, policy).values
    words = " ".join(f"crashkernel={value}" for value in values)
    return Work(
        known=False,
        notes=("this distribution is not known: nothing is changed",),
        manual=(
            f"add {words} to the kernel's command line in the boot loader, for future kernels too",
            "install kexec-tools and makedumpfile, and whatever loads a capture kernel at boot",
            "set these sysctls at every boot: "
            + " ".join(f"{name}={value}" for name, value in sorted(wanted.items())),
            "reboot, then: kautopsy doctor",
        ),
    )


def _crashkernel(facts: HostFacts, policy: Policy) -> tuple[list[str], list[str]]:
    """The values of ``crashkernel=`` that shall stand everywhere; none to leave all alone."""
    if policy.crashkernel == "keep":
        return [], []
    if policy.crashkernel != "auto":
        return policy.crashkernel.split(), []
    if facts.kexec.fadump:
        return [], ["firmware-assisted dump is registered: crashkernel= stays as it is"]
    needs = sizing(facts)
    found = values_of(facts.boot.arguments, "crashkernel") if facts.boot else []
    if found and "auto" not in found and _enough(facts, needs, found):
        return found, [f"crashkernel={' crashkernel='.join(found)} is enough and stays"]
    ram = facts.memory.ram
    if (0, 0, 0) < sysctl.age(facts.release) < _EXTENDED:
        size = 128 if ram is None or ram < 16 << 30 else 256
        return [f"{size}M@16M"], [f"crashkernel={size}M@16M: this kernel must be told the place"]
    if ram is None:
        table = family_of(facts.os).table(facts)
        if table is not None:
            return [_at_least(table, needs)], [
                "how much memory the machine has is not known here: a table chooses at boot"
            ]
    size = needs.recommended
    why = needs.explained() or "the distribution's table; its capture initrd is not there yet"
    value = f"{size // MIB}M"
    # Below 896 MiB only, before b9ac3849af41 ("x86/kdump: Fall back to reserve high", 5.2).
    if size > _HIGH and facts.machine == "x86_64" and (3, 9, 0) <= sysctl.age(facts.release) < (
        5, 2, 0,
    ):  # fmt: skip
        value += ",high"
    notes = [f"crashkernel={value}: {why}"]
    if ram is not None and size * 2 > ram:
        notes.append(
            f"that is more than half of this machine's memory ({ram // MIB} MiB): is kdump wanted?"
        )
    return [value], notes


def _enough(facts: HostFacts, needs: Sizing, values: list[str]) -> bool:
    """Whether the doctor would be content with ``values``."""
    least = max(needs.table or 0, needs.estimate or 0) + sum(part.count for part in needs.adders)
    if facts.memory.ram is not None:
        size = asked_for(values, facts.memory.ram)
        return bool(size) and size is not None and size >= least
    # Of a tree nobody knows the memory: what the largest machine gets must be enough.
    size = asked_for(values, 1 << 46)
    return bool(size) and size is not None and size >= max(least, 128 * MIB)


def _at_least(table: str, needs: Sizing) -> str:
    """A table of ranges with every size as large as the estimate and a quarter, in 32 MiB."""
    least = (needs.estimate or 0) * 5 // 4 + sum(part.count for part in needs.adders)
    least = -(-least // (32 * MIB)) * 32

    def larger(match: re.Match[str]) -> str:
        size = in_range(f"0-:{match[1]}", 1) or 0
        return f":{least}M" if size < least * MIB else match[0]

    return re.sub(r":([0-9]+[KMGT]?)", larger, table)


def _boot(facts: HostFacts, family: Family, files: Files, values: list[str]) -> Changes:
    if not values:
        return Changes()
    own = family.bootloader(facts, files, values)
    return own if own is not None else change(facts, files, values, family.grub(facts))


class _Service:
    """The steps before the boot loader's, and those after it."""

    def __init__(self) -> None:
        self.before: list[Deed] = []
        self.after: list[Deed] = []
        self.manual: list[str] = []


def _service(facts: HostFacts, family: Family, policy: Policy, files: Files) -> _Service:
    """Installing, telling and enabling the distribution's kdump."""
    work = _Service()
    if not policy.service:
        return work
    package, service = family.package(facts), facts.service
    if package is None or service is None:
        work.manual.append(family.install(facts))
        return work
    missing = not service.installed
    if missing and not facts.live:
        work.manual.append(f"install {package.name} (its files are not in the tree): "
                           f"{family.install(facts)}, then arm again")  # fmt: skip
        return work
    if missing:
        work.before.append(
            CommandDeed(
                f"install {package.name}",
                package.install,
                package.touches,
                undo=package.remove,
                verify=_installed(family),
                timeout=1800.0,
            )
        )
    edited: list[FileDeed] = []
    for edit in family.edits(policy, facts):
        if files.bytes(edit.path) is None and not missing:
            if edit.comes is None:
                continue
            edited += files.edit(edit.what, edit.path, edit.edit)
        else:
            edited += files.edit(edit.what, edit.path, edit.edit, comes=edit.comes or "")
    work.before += edited
    enabled = _enable(facts, family, files, missing=missing)
    work.after += enabled
    # What is loaded already was loaded with the old configuration.
    if edited and facts.live and facts.kexec.size and policy.now and not missing:
        unit = service.unit
        restart = family.restart(facts)
        work.after.append(
            CommandDeed(f"restart {unit}", restart, renew=restart, always=True, timeout=900.0)
        )
    return work


def _installed(family: Family) -> Callable[[Host], str]:
    def verify(host: Host) -> str:
        service = from_answers(ask(host), live=host.live).service
        return "" if service and service.installed else f"{family.units[0]} is not there"

    return verify


def _enable(facts: HostFacts, family: Family, files: Files, *, missing: bool) -> list[Deed]:
    service = facts.service
    assert service is not None
    if not facts.live:
        return _enable_in_a_tree(facts, family, files)
    unit = f"{service.unit}.service"
    deeds: list[Deed] = []
    if service.masked:
        deeds.append(
            CommandDeed(
                f"unmask {unit}",
                ("systemctl", "unmask", unit),
                (f"/etc/systemd/system/{unit}",),
                undo=("systemctl", "mask", unit),
            )
        )
    if service.enabled or (missing and family.enables_itself):
        return deeds
    if "systemctl" in facts.tools:
        links = f"/etc/systemd/system/*.wants/{unit}"
        deeds.append(
            CommandDeed(
                f"start {unit} at every boot",
                ("systemctl", "enable", unit),
                (links,),
                undo=("systemctl", "disable", unit),
                verify=_enabled(unit),
            )
        )
    elif "chkconfig" in facts.tools:
        name = service.unit
        deeds.append(
            CommandDeed(
                f"start {name} at every boot",
                ("chkconfig", name, "on"),
                (f"/etc/rc.d/rc*.d/*{name}",),
                undo=("chkconfig", name, "off"),
            )
        )
    return deeds


def _enabled(unit: str) -> Callable[[Host], str]:
    def verify(host: Host) -> str:
        said = host.run(("systemctl", "is-enabled", unit))
        return "" if said.status == 0 else f"{unit} is {said.text.strip() or 'not enabled'}"

    return verify


def _enable_in_a_tree(facts: HostFacts, family: Family, files: Files) -> list[Deed]:
    """systemctl's links, or chkconfig's, made by hand."""
    service = facts.service
    assert service is not None
    unit = f"{service.unit}.service"
    deeds: list[Deed] = []
    if service.masked:
        path = f"/etc/systemd/system/{unit}"
        deeds.append(LinkDeed(f"unmask {unit}", path, "/dev/null", None))
    if service.enabled or not service.installed:
        return deeds

    def there(link: LinkDeed) -> LinkDeed:
        """A merged /usr has one folder under both names; others have one of the two."""
        target = link.target or ""
        if not target.startswith(_UNITS) or files.bytes(target) is not None:
            return link
        places = [f"{folder}/{unit}" for folder in _UNITS]
        return replace(link, target=next((p for p in places if files.bytes(p) is not None), target))

    return [*deeds, *map(there, family.enable_links(facts))]


def _sysctls(
    facts: HostFacts, family: Family, files: Files, policy: Policy, values: dict[str, str]
) -> list[Deed]:
    """In a file for every boot, and in the running kernel."""
    if not values:
        return []
    deeds: list[Deed] = []
    path = _sysctl_file(facts, family)
    what = "panic when there is something to dump, from every boot on"
    if path == sysctl.OLD_PATH:
        deeds += files.edit(
            what,
            path,
            lambda text: sysctl.with_values(text or "", values, add=True),
        )
    else:
        deeds += files.edit(what, path, lambda text: sysctl.document(values))
        # procps reads it after sysctl.d.
        if files.bytes(sysctl.OLD_PATH) is not None:
            deeds += files.edit(
                f"say the same in {sysctl.OLD_PATH}",
                sysctl.OLD_PATH,
                lambda text: sysctl.with_values(text or "", values, add=False),
            )
    now = {n: v for n, v in values.items() if facts.sysctl(n) not in (None, v)}
    if facts.live and policy.now and now:
        before = {name: facts.sysctl(name) or "" for name in now}
        deeds.append(
            CommandDeed(
                "and now",
                ("sysctl", "-w", *(f"{name}={value}" for name, value in sorted(now.items()))),
                undo=("sysctl", "-w", *(f"{n}={v}" for n, v in sorted(before.items()))),
                verify=_set(now),
            )
        )
    return deeds


def _sysctl_file(facts: HostFacts, family: Family) -> str:
    """el5 and el6 read /etc/sysctl.conf alone."""
    old = isinstance(family, RedHat) and family.is_sysv(facts)
    return sysctl.OLD_PATH if old else sysctl.PATH


def _set(values: dict[str, str]) -> Callable[[Host], str]:
    def verify(host: Host) -> str:
        for name, value in values.items():
            path = f"/proc/sys/{name.replace('.', '/')}"
            try:
                found = host.read(path).decode(errors="replace").strip()
            except UnreadableError as error:
                return str(error)
            if found.split() != value.split():
                return f"{name} is {found}"
        return ""

    return verify
