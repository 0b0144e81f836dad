"""Every check on a machine that is fine, and on one that has the one thing wrong it looks for."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from kautopsy.arming.check import QUESTIONS, Priority, Question, passed
from kautopsy.arming.doctor import ESSENTIAL, examine, questions
from kautopsy.model.host import (
    BootEntry,
    BootTemplate,
    FileStat,
    HostFacts,
    ImageFacts,
    KdumpSettings,
    KexecFacts,
    LastDrill,
    Loader,
    MemoryFacts,
    OsRelease,
    ServiceFacts,
    Sysctl,
    TargetFacts,
    TargetKind,
    Watchdog,
)
from kautopsy.model.readiness import CheckStatus

MIB, GIB = 1 << 20, 1 << 30
LINE = ("root=/dev/sda2", "ro", "console=ttyS0,115200", "crashkernel=256M")
POLICY = {
    "kernel.panic": "10",
    "kernel.panic_on_oops": "1",
    "kernel.unknown_nmi_panic": "0",
    "kernel.panic_on_unrecovered_nmi": "0",
    "kernel.nmi_watchdog": "1",
    "kernel.softlockup_panic": "0",
    "kernel.hung_task_panic": "0",
    "kernel.hung_task_timeout_secs": "120",
    "kernel.panic_on_warn": "0",
    "kernel.watchdog_thresh": "10",
    "kernel.kexec_load_disabled": "0",
    "kernel.kptr_restrict": "1",
}


def sysctls(**changed: str | None) -> tuple[Sysctl, ...]:
    values = {**POLICY, **{f"kernel.{name}": value for name, value in changed.items()}}
    return tuple(Sysctl(name=n, value=v) for n, v in values.items() if v is not None)


FINE = HostFacts(
    live=True,
    root=True,
    os=OsRelease(id="rhel", version="9.4"),
    release="5.14.0-427.el9.x86_64",
    machine="x86_64",
    node="db1.example",
    now=1_700_000_000,
    page_size=4096,
    cpus=2,
    container="",
    virtual="none",
    cmdline=LINE,
    config=(
        "KEXEC", "KEXEC_FILE", "CRASH_DUMP", "PROC_VMCORE", "RELOCATABLE", "X86_LOCAL_APIC",
        "DEBUG_INFO_BTF", "OVERLAY_FS", "BLK_DEV_LOOP",
    ),
    kexec=KexecFacts(
        supported=True, size=256 * MIB, loaded=True, iomem=256 * MIB, lockdown="none",
        secure_boot=False,
    ),
    memory=MemoryFacts(
        total=8 * GIB, ram=8 * GIB, kernel=40 * MIB, savable=500 * MIB, free_excluded=True
    ),
    sysctls=sysctls(),
    post_notifiers=False,
    boot=BootEntry(loader=Loader.GRUB2_BLS, source="/boot/e.conf", title="RHEL", arguments=LINE),
    templates=(BootTemplate(source="/etc/kernel/cmdline", arguments=LINE),),
    service=ServiceFacts(unit="kdump", installed=True, enabled=True, active=True),
    settings=KdumpSettings(
        source="/etc/kdump.conf",
        collector="-l --message-level 7 -d 31",
        append=("irqpoll", "nr_cpus=1", "reset_devices"),
        removed=("crashkernel", "panic_on_warn", "hugepages"),
        keep="5",
    ),
    image=ImageFacts(
        initrd=FileStat(path="/boot/initramfs-kdump.img", mtime=1_690_000_000, size=30 * MIB),
        modules=("ahci", "sd_mod", "xfs", "squashfs", "loop", "overlay"),
        module_bytes=2 * MIB,
        mount="/dev/sda2",
    ),
    target=TargetFacts(
        kind=TargetKind.LOCAL, path="/var/crash", device="/dev/sda2", mounted_on="/",
        filesystem="xfs", free=100 * GIB, free_inodes=1_000_000, usable=True,
        drivers=("ahci", "sd_mod", "xfs"), encrypted=False,
        label="system_u:object_r:kdump_crash_t:s0", dumps=("/var/crash/1/vmcore",),
    ),
    watchdogs=(),
    modules=("ahci", "sd_mod", "xfs"),
    nmi_counts=((100, 100), (101, 100)),
    consoles=("tty0", "ttyS0"),
    bmc=True,
    hotplug=("cpu", "memory"),
    makedumpfile="1.7.5",
    makedumpfile_words="lzo\tenabled\nsnappy\tdisabled\nzstd\tenabled\n",
    makedumpfile_refuses=False,
    vmcoreinfo=True,
    selinux=True,
    pstore=(),
    log=(),
    dm_crypt_keys=False,
    last_drill=LastDrill(passed=True, when=1_699_000_000, source="record.json"),
)  # fmt: skip


def change(**changes: Any) -> HostFacts:
    """``FINE`` with other values; ``kexec__size=0`` reaches into one of its parts."""
    facts = FINE
    for name, value in changes.items():
        part, _, inner = name.partition("__")
        if inner:
            value = msgspec.structs.replace(getattr(facts, part), **{inner: value})
        facts = msgspec.structs.replace(facts, **{part: value})
    return facts


def test_a_machine_that_is_fine() -> None:
    document = examine(FINE)
    assert document.ready is True
    bad = [c for c in document.checks if c.status not in (CheckStatus.PASS, CheckStatus.SKIP)]
    assert bad == []
    # The facts' 43 are all asked; each has its own name.
    assert len(document.checks) >= 43


F, W, U = CheckStatus.FAIL, CheckStatus.WARN, CheckStatus.UNKNOWN
WRONG: list[tuple[str, CheckStatus, dict[str, Any], str]] = [
    ("own-kernel", F, {"container": "lxc"}, "host"),
    ("kernel-support", F, {"kexec__supported": False}, "cannot load"),
    ("kernel-support", F, {"config": ("KEXEC", "PROC_VMCORE")}, "CRASH_DUMP"),
    ("kexec-disabled", F, {"kexec__loaded": False, "sysctls": sysctls(kexec_load_disabled="1")},
     "forbidden"),
    ("kexec-disabled", W, {"sysctls": sysctls(kexec_load_disabled="1")}, "no longer"),
    ("lockdown", F, {"kexec__loaded": False, "kexec__lockdown": "integrity",
                     "settings__kexec_file": False}, "old system call"),
    ("crashkernel-asked", F, {"cmdline": ("ro",), "kexec__size": 0}, "not asked"),
    ("crashkernel-auto", F, {"cmdline": ("crashkernel=auto",)}, "reserves nothing"),
    ("crashkernel-auto", F, {"os": OsRelease(id="centos", version="7"), "memory__ram": GIB,
                             "kexec__size": 0, "cmdline": ("crashkernel=auto",)}, "small"),
    ("crashkernel-reserved", F, {"kexec__size": 0}, "was asked for and nothing"),
    ("crashkernel-reserved", F, {"kexec__iomem": 0}, "nothing was reserved"),
    # 40 + 3*30 + 2 + 24 = 156 MiB
    ("crashkernel-size", F, {"kexec__size": 155 * MIB}, "needs about 156 MiB"),
    ("crashkernel-size", W, {"kexec__size": 160 * MIB}, "256 MiB are recommended"),
    ("crashkernel-size", F, {"kexec__size": 63 * MIB, "image__initrd": None}, "kernel alone"),
    ("crashkernel-adders", W, {"memory__encrypted": True}, "320 MiB"),
    ("image-loaded", F, {"kexec__loaded": False}, "no capture kernel"),
    ("image-loaded", U, {"kexec__loaded": None, "root": False}, "only root"),
    ("kdump-service", F, {"service__masked": True}, "masked"),
    ("kdump-service", F, {"service__enabled": False}, "does not start at boot"),
    ("kdump-service", F, {"service__active": False, "kexec__loaded": False}, "not active"),
    ("kdump-service", F, {"service__installed": False}, "not installed"),
    ("next-boot-entry", F, {"boot__arguments": ("ro",)}, "will not reserve"),
    ("next-boot-entry", F, {"boot__arguments": ("crashkernel=16G-:1G",)}, "reserves nothing"),
    ("future-kernels", W, {"templates": (BootTemplate(source="t", arguments=("ro",)),)}, "lose"),
    ("target-usable", F, {"target__usable": False, "target__trouble": "does not exist"}, "exist"),
    ("target-space", F, {"target__free": 100 * MIB}, "will not fit"),
    ("target-space", W, {"target__free": 400 * MIB}, "may not fit"),
    ("target-space", F, {"target__free_inodes": 3}, "inodes"),
    ("target-space", F, {"target__free": GIB, "settings__collector": "-c -d 1"}, "8192 MiB"),
    ("target-encrypted", W, {"target__encrypted": True}, "passphrase"),
    ("target-kind", W, {"target__filesystem": "tmpfs"}, "memory"),
    ("target-network", F, {"target": TargetFacts(kind=TargetKind.NFS, path="/d", server="s",
                                                 interface="wlan0",
                                                 interface_kinds=("wireless",))}, "wireless"),
    ("target-leftovers", W, {"target__dumps": ("/var/crash/1/vmcore-incomplete",)}, "1 dumps"),
    ("selinux-label", W, {"target__label": "u:object_r:user_home_t:s0"}, "odd"),
    ("image-fresh", W, {"image__newer": ("/etc/kdump.conf",)}, "older"),
    ("image-drivers", F, {"image__modules": ("ahci", "xfs")}, "sd_mod"),
    ("image-target", W, {"image__mount": "/dev/sdb1"}, "another device"),
    ("image-harmful-drivers", W, {"image__modules": ("nouveau",), "modules": ("nouveau",)},
     "nouveau"),
    ("image-compression", F, {"image__modules": ("squashfs", "loop"), "config": ("KEXEC",)},
     "overlay"),
    ("watchdog", W, {"watchdogs": (Watchdog(name="watchdog0", active=True, driver="iTCO_wdt"),),
                     "modules": ("iTCO_wdt", "lpc_ich")}, "iTCO_wdt, lpc_ich"),
    ("watchdog", W, {"watchdogs": (Watchdog(name="watchdog0", active=True, driver="x"),),
                     "image__modules": None}, "could not be seen"),
    ("hpwdt", W, {"modules": ("hpwdt",), "hpwdt_kdumptimeout": 0}, "mid-dump"),
    ("cluster-fencing", W, {"fencing": ("/etc/corosync/corosync.conf",)}, "fence"),
    ("panic-timeout", W, {"sysctls": sysctls(panic="0")}, "hanging"),
    ("trigger-armed", W, {"sysctls": sysctls(panic_on_oops="0")}, "panics this machine"),
    ("dangerous-policy", W, {"sysctls": sysctls(panic_on_warn="1")}, "WARN"),
    ("dangerous-policy", W, {"sysctls": sysctls(hung_task_panic="1")}, "slow backup"),
    ("dangerous-policy", W, {"sysctls": sysctls(softlockup_panic="1", watchdog_thresh="0")},
     "never comes"),
    ("post-notifiers", W, {"post_notifiers": True}, "notifiers"),
    ("policy-leak", W, {"cmdline": ("softlockup_panic=1", "panic_on_warn=1", "oops=panic")},
     "softlockup_panic, oops=panic"),
    ("capture-sysctls", W, {"settings__sysctls": True,
                            "sysctls": sysctls(softlockup_panic="1", unknown_nmi_panic="1")},
     "in the middle of saving"),
    ("nmi-conflict", W, {"sysctls": sysctls(unknown_nmi_panic="1"), "release": "3.2.0-4-amd64"},
     "nobody claims"),
    ("nmi-conflict", W, {"sysctls": sysctls(unknown_nmi_panic="1", nmi_watchdog="0"),
                         "modules": ("hpwdt",)}, "hpwdt"),
    ("nmi-conflict", W, {"sysctls": sysctls(unknown_nmi_panic="1"), "log": (
        "Uhhuh. NMI received for unknown reason 21 on CPU 0.",)}, "will panic it"),
    ("nmi-conflict", W, {"sysctls": sysctls(unknown_nmi_panic="1"), "release": "2.6.18-8.el5"},
     "exclude each other"),
    ("nmi-counts", W, {"nmi_counts": ((0, 0), (900, 3))}, "903 NMIs"),
    ("nmi-apic", W, {"cmdline": ("nolapic",)}, "switched off"),
    ("capture-cmdline", W, {"settings__append": ("irqpoll",)}, "nr_cpus=1 reset_devices"),
    ("console", W, {"consoles": ("tty0",)}, "no serial console"),
    ("console", W, {"sol_speed": "19.2"}, "19.2"),
    ("failure-action", W, {"settings__failure_action": "shell"}, "stays down"),
    ("makedumpfile-version", W, {"makedumpfile_refuses": True}, "does not support"),
    ("makedumpfile-version", W, {"memory__free_excluded": False}, "free pages"),
    ("makedumpfile-version", W, {"makedumpfile": ""}, "not installed"),
    ("collector-arguments", F, {"settings__collector": "-d 64"}, "64"),
    ("collector-arguments", F, {"settings__collector": "-p -d 31"}, "snappy"),
    ("collector-arguments", W, {"settings__collector": "-c"}, "every page"),
    ("vmcoreinfo", W, {"vmcoreinfo": False}, "vmcoreinfo"),
    ("debuginfo", W, {"config": ("KEXEC",)}, "BTF"),
    ("kptr-restrict", W, {"sysctls": sysctls(kptr_restrict="2")}, "hidden"),
    ("hotplug", W, {"hotplug": (), "virtual": "kvm"}, "missing"),
    ("last-drill", W, {"last_drill": None}, "ever proved"),
    ("last-drill", W, {"now": 1_799_000_000}, "days old"),
    ("last-drill", W, {"last_drill__release": "5.14.0-1"}, "was with"),
    ("last-drill", W, {"image__initrd": FileStat(path="i", mtime=1_699_999_999, size=1)},
     "rebuilt"),
    ("last-drill", W, {"settings__changed": 1_699_999_999}, "configuration changed"),
    ("last-drill", W, {"last_drill__passed": False}, "left no dump"),
    ("pstore", W, {"pstore": ("dmesg-efi-1",)}, "1 records"),
    ("identity", W, {"node": "localhost", "target": TargetFacts(
        kind=TargetKind.SSH, path="/d", server="u@s", usable=True)}, "localhost"),
    ("hypervisor", W, {"virtual": "kvm", "modules": ("pvpanic",)}, "restart"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "status", "changes", "words"), WRONG, ids=[f"{w[0]}-{w[3]}" for w in WRONG]
)
def test_the_one_thing_that_is_wrong(
    name: str, status: CheckStatus, changes: dict[str, Any], words: str
) -> None:
    document = examine(change(**changes))
    check = next(check for check in document.checks if check.id == name)
    assert check.status is status, check
    assert words in f"{check.summary} {check.evidence}", check
    if status is F:
        assert check.fix
        assert document.ready is False


def test_what_was_not_seen_is_never_called_fine() -> None:
    blind = HostFacts(
        live=False,
        root=False,
        kexec=KexecFacts(),
        memory=MemoryFacts(),
        settings=KdumpSettings(),
        image=ImageFacts(),
        target=TargetFacts(kind=TargetKind.LOCAL, path="/var/crash"),
    )
    document = examine(blind)
    assert document.ready is None
    found = {check.id: check.status for check in document.checks}
    assert {found[name] for name in ESSENTIAL} == {U}
    assert F not in found.values()
    assert {name for name, status in found.items() if status is CheckStatus.PASS} <= {
        "crashkernel-auto",
        "crashkernel-adders",
    }


def test_failures_come_first_and_the_gravest_before_the_others() -> None:
    document = examine(change(kexec__loaded=False, kexec__size=100 * MIB, vmcoreinfo=False))
    ids = [check.id for check in document.checks]
    assert ids.index("image-loaded") < ids.index("crashkernel-size") < ids.index("vmcoreinfo")


def test_a_defect_of_one_check_takes_no_other_down() -> None:
    def broken(_facts: HostFacts) -> Any:
        raise ZeroDivisionError("oh")

    check = Question("broken", Priority.LOST, broken).answer(FINE)
    assert check.status is U
    assert "ZeroDivisionError" in check.summary
    assert (
        Question("fine", Priority.LOST, lambda _facts: passed("yes")).answer(FINE).summary == "yes"
    )


def test_every_check_says_what_it_looks_for() -> None:
    assert len(questions()) == len(QUESTIONS)
    assert [q.id for q in questions() if not (q.ask.__doc__ or "").strip()] == []
    # A check that no row above makes say anything bad is not tested.
    tested = {row[0] for row in WRONG}
    assert {q.id for q in questions()} - tested == {"early-kdump", "out-of-band", "retention"}
