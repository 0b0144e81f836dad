"""The probe's answer as typed facts."""

from __future__ import annotations

import re

import msgspec

from kautopsy.arming import facts_kdump, facts_kernel
from kautopsy.arming.answers import Answers, ask, to_int
from kautopsy.arming.bootloader.next_entry import next_entry
from kautopsy.arming.bootloader.templates import templates
from kautopsy.arming.bootloader.words import words_of
from kautopsy.arming.distribution import family_of
from kautopsy.arming.drills import (
    NOTE,
    in_our_note,
    in_our_records,
    newest,
    on_the_machine,
)
from kautopsy.host.host import Host
from kautopsy.model.host import HostFacts, OsRelease

_OLD_RELEASE = re.compile(r"^(?P<name>.*?)\s+(?:Linux\s+)?release\s+(?P<version>[\d.]+)", re.I)
_OLD_IDS = {
    "red hat": "rhel",
    "centos": "centos",
    "fedora": "fedora",
    "scientific": "scientific",
    "oracle": "ol",
    "enterprise linux": "ol",
    "suse": "sles",
}


def gather(host: Host) -> HostFacts:
    """Probe ``host`` in one round trip.

    :raises UnreachableError: it does not answer
    :raises UnreadableError: it answers with something else
    """
    return from_answers(ask(host), live=host.live)


def from_answers(answers: Answers, *, live: bool) -> HostFacts:
    """The facts of one answer."""
    os = os_release(answers)
    family = family_of(os)
    release = answers.line("kernel")
    efi = "/sys/firmware/efi" in answers.stats
    boot = next_entry(answers.files, efi=efi)
    node = answers.line("node") or answers.word("/proc/sys/kernel/hostname") or ""
    settings = family.settings(answers.files, os or OsRelease(id=""))
    if settings.source in answers.stats:
        changed = answers.stats[settings.source].mtime
        settings = msgspec.structs.replace(settings, changed=changed)
    target = facts_kdump.target(answers)
    cmdline = answers.files.get("/proc/cmdline")
    ids = answers.said.get("id")
    return HostFacts(
        live=live,
        root=bool(ids and ids.text.strip() == "0"),
        os=os,
        release=release,
        machine=answers.line("machine") or facts_kernel.machine_of(answers),
        node=node,
        now=to_int(answers.line("now")),
        page_size=to_int(answers.line("page-size")),
        cpus=facts_kernel.cpu_count(answers),
        container=_container(answers),
        virtual=_virtual(answers),
        ostree="/run/ostree-booted" in answers.files or "ostree=" in (cmdline or ""),
        cmdline=words_of(cmdline) if cmdline is not None else None,
        config=facts_kernel.config(answers),
        kexec=facts_kernel.kexec(answers, live=live),
        memory=facts_kernel.memory(answers),
        sysctls=facts_kernel.sysctls(answers),
        post_notifiers=facts_kernel.flag(
            answers.word("/sys/module/kernel/parameters/crash_kexec_post_notifiers")
        ),
        boot=boot,
        templates=templates(answers.files, boot),
        service=facts_kdump.service(answers, family.units, live=live),
        settings=settings,
        image=facts_kdump.image(answers, family.inputs),
        target=target,
        watchdogs=facts_kernel.watchdogs(answers),
        hpwdt_kdumptimeout=answers.number("/sys/module/hpwdt/parameters/kdumptimeout"),
        runtime_watchdog=_runtime_watchdog(answers),
        fencing=tuple(
            path
            for path in (
                "/etc/cluster/cluster.conf",
                "/etc/corosync/corosync.conf",
                "/etc/sysconfig/sbd",
            )
            if path in answers.stats
        ),
        modules=facts_kernel.module_names(answers),
        nmi_counts=facts_kernel.nmi_counts(answers),
        consoles=facts_kernel.consoles(answers),
        sol_speed=_sol_speed(answers),
        bmc=bool(answers.line("bmc")) if live else None,
        hotplug=_hotplug(answers, live=live),
        kexec_tools=answers.line("kexec-version"),
        makedumpfile=_makedumpfile(answers),
        makedumpfile_words=answers.said["makedumpfile-version"].text
        if "makedumpfile-version" in answers.said
        else "",
        makedumpfile_refuses="kernel version is not supported" in answers.said["mem-usage"].text
        if "mem-usage" in answers.said
        else None,
        vmcoreinfo=bool(answers.word("/sys/kernel/vmcoreinfo")) if live else None,
        debuginfo=tuple(path for path in answers.stats if path.startswith("/usr/lib/debug/")),
        selinux=_selinux(answers),
        pstore=tuple(answers.said["pstore"].lines) if "pstore" in answers.said else None,
        log=tuple(answers.said["log"].lines) if "log" in answers.said else None,
        dm_crypt_keys="/sys/kernel/config/crash_dm_crypt_keys" in answers.stats if live else None,
        efi=efi if live else None,
        tools=tuple(answers.said["tools"].lines) if "tools" in answers.said else (),
        last_drill=newest(
            on_the_machine(answers.word("/var/lib/kdump/vmcore-creation.status") or ""),
            in_our_note(answers.word(NOTE) or ""),
            in_our_records(node),
        ),
        denied=answers.denied,
    )


def os_release(answers: Answers) -> OsRelease | None:
    """Of os-release, or of the files that distributions had before it."""
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        text = answers.files.get(path, "")
        pairs: dict[str, str] = dict(
            re.findall(r"^([A-Z_]+)=[\"']?([^\"'\n]*)", text, re.MULTILINE)
        )
        if pairs.get("ID"):
            return OsRelease(
                id=pairs["ID"].lower(),
                version=pairs.get("VERSION_ID", ""),
                name=pairs.get("PRETTY_NAME", pairs.get("NAME", "")),
                like=tuple(pairs.get("ID_LIKE", "").lower().split()),
            )
    for path in ("/etc/redhat-release", "/etc/SuSE-release"):
        lines = answers.files.get(path, "").strip().splitlines()
        if not lines:
            continue
        words = lines[0].strip()
        known = next((i for w, i in _OLD_IDS.items() if w in words.lower()), "")
        match = _OLD_RELEASE.match(words)
        version = re.search(r"\d[\d.]*", words)
        return OsRelease(
            id=known or "rhel",
            version=match["version"] if match else version[0] if version else "",
            name=words,
        )
    version_file = answers.word("/etc/debian_version")
    return OsRelease(id="debian", version=version_file, name="Debian") if version_file else None


def _container(answers: Answers) -> str | None:
    """The kind of container, or "" for none; None if nobody can tell."""
    if "/.dockerenv" in answers.links:
        return "docker"
    if name := answers.word("/run/systemd/container"):
        return name
    match = re.search(r"/(docker|lxc|kubepods|libpod)\b", answers.files.get("/proc/1/cgroup", ""))
    if match:
        return match[1]
    return "" if "/proc/1/cgroup" in answers.files else None


def _virtual(answers: Answers) -> str | None:
    """What systemd-detect-virt says: ``kvm``, ``none``; it exits with 1 where it says none."""
    said = answers.said.get("virt")
    if said is None or said.status > 1 or not said.lines:
        return None
    return said.lines[0].strip()


def _runtime_watchdog(answers: Answers) -> str:
    text = answers.files.get("/etc/systemd/system.conf", "")
    match = re.search(r"^RuntimeWatchdogSec=(\S+)", text, re.MULTILINE)
    return match[1] if match and match[1] not in ("0", "off") else ""


def _sol_speed(answers: Answers) -> str:
    said = answers.said.get("sol")
    match = re.search(
        r"^Volatile Bit Rate \(kbps\)\s*:\s*([\d.]+)", said.text if said else "", re.M
    )
    return match[1] if match else ""


def _hotplug(answers: Answers, *, live: bool) -> tuple[str, ...] | None:
    """What reloads the image after CPUs or memory were plugged: the kernel itself, or udev."""
    if not live:
        return None
    found = []
    if answers.word("/sys/devices/system/cpu/crash_hotplug") == "1":
        found.append("cpu")
    if answers.word("/sys/devices/system/memory/crash_hotplug") == "1":
        found.append("memory")
    udev = answers.said.get("udev")
    return (*found, *(line for line in udev.lines if line.startswith("/"))) if udev else None


def _makedumpfile(answers: Answers) -> str | None:
    """The version ("" if it is not installed); None if nobody asked."""
    said = answers.said.get("makedumpfile-version")
    if said is None:
        return None
    match = re.search(r"version (\d+\.\d+\.\d+)", said.text)
    return match[1] if match else ""


def _selinux(answers: Answers) -> bool | None:
    for path in ("/sys/fs/selinux/enforce", "/selinux/enforce"):
        if path in answers.files:
            return answers.word(path) == "1"
    return None
