"""What commands of living machines print, in their own formats, as typed facts."""

from __future__ import annotations

from kautopsy.arming.answers import Answers, Said
from kautopsy.arming.facts import from_answers
from kautopsy.model.host import FileStat, HostFacts, TargetKind


def facts(
    files: dict[str, str] | None = None,
    said: dict[str, tuple[int, str]] | None = None,
    links: dict[str, str] | None = None,
    stats: dict[str, tuple[int, int]] | None = None,
) -> HostFacts:
    return from_answers(
        Answers(
            files=files or {},
            links=links or {},
            stats={
                path: FileStat(path=path, mtime=mtime, size=size)
                for path, (mtime, size) in (stats or {}).items()
            },
            said={name: Said(*value) for name, value in (said or {}).items()},
            denied=(),
        ),
        live=True,
    )


def test_the_memory_of_a_machine() -> None:
    # /proc/iomem of a 1 GiB guest (Debian 6.1) with crashkernel=64M.
    iomem = """\
00000000-00000fff : Reserved
00001000-0009fbff : System RAM
00100000-3ffdcfff : System RAM
  34000000-37ffffff : Crash kernel
  38e00000-39c01ef1 : Kernel code
  39e00000-3a622fff : Kernel rodata
  3a800000-3aa45d3f : Kernel data
  3b0ac000-3b5fffff : Kernel bss
"""
    seen = facts({"/proc/iomem": iomem, "/proc/meminfo": "MemTotal:         930836 kB\n"})
    assert seen.kexec.iomem == 64 << 20
    assert seen.memory.kernel == 0x3B600000 - 0x38E00000
    assert seen.memory.ram == 1 << 30
    assert seen.memory.total == 930836 << 10
    # Without root all addresses are zero: nothing is known, which is not "no reservation".
    blank = "\n".join(line.replace(line.split(" : ")[0], "00000000-00000000") for line in
                      iomem.splitlines())  # fmt: skip
    seen = facts({"/proc/iomem": blank, "/proc/meminfo": "MemTotal: 930836 kB\n"})
    assert seen.kexec.iomem is None
    assert seen.memory.kernel is None
    assert seen.memory.ram == 1 << 30


def test_units_as_systemctl_shows_them() -> None:
    shown = """\
Result=success
Id=kdump.service
LoadState=not-found
ActiveState=inactive
UnitFileState=

Result=exit-code
Id=kdump-tools.service
LoadState=loaded
ActiveState=failed
UnitFileState=enabled
"""
    files = {"/etc/os-release": "ID=debian\n"}
    service = facts(files, {"units": (0, shown)}).service
    assert service is not None
    assert (service.unit, service.installed, service.enabled) == ("kdump-tools", True, True)
    assert (service.active, service.masked, service.result) == (False, False, "exit-code")
    masked = shown.replace("LoadState=loaded", "LoadState=masked")
    service = facts(files, {"units": (0, masked)}).service
    assert service is not None and service.masked and service.enabled is False
    service = facts(files, {"units": (0, shown.replace("loaded", "not-found"))}).service
    assert service is not None and not service.installed


def test_a_service_of_el6() -> None:
    files = {"/etc/redhat-release": "Red Hat Enterprise Linux Server release 6.9 (Santiago)\n"}
    stats = {"/etc/rc.d/init.d/kdump": (1, 1), "/etc/init.d/kdump": (1, 1)}
    seen = facts(files, {"rc-links": (0, "/etc/rc3.d/S20kdump\n")}, stats=stats)
    assert seen.os is not None and (seen.os.id, seen.os.version) == ("rhel", "6.9")
    assert seen.service is not None and seen.service.enabled is True
    seen = facts(files, {"rc-links": (1, "")}, stats=stats)
    assert seen.service is not None
    assert (seen.service.installed, seen.service.enabled) == (True, False)


def test_the_target_as_df_and_mounts_show_it() -> None:
    df = """\
Filesystem     1024-blocks    Used Available Capacity Mounted on
/dev/mapper/v-c   10255636 5120000   4594676      53% /var/my crash
"""
    inodes = "Filesystem Inodes IUsed IFree IUse% Mounted on\n/dev/x 100 60 40 60% /var/my crash\n"
    said = {
        "target-path": (0, "/var/my crash"),
        "target-space": (0, df),
        "target-inodes": (0, inodes),
        "target-writable": (0, ""),
        "target-drivers": (0, "dm_mod\nvirtio-blk\nxfs\n"),
        "target-stack": (0, "v-c lvm xfs\nluks-1 crypt LVM2_member\nvda3 part crypto_LUKS\n"),
    }
    target = facts({"/proc/mounts": ""}, said).target
    assert target.kind is TargetKind.LOCAL
    assert (target.device, target.mounted_on) == ("/dev/mapper/v-c", "/var/my crash")
    assert (target.free, target.free_inodes) == (4594676 << 10, 40)
    assert target.usable is True
    assert target.drivers == ("dm_mod", "virtio_blk", "xfs")
    assert target.encrypted is True
    said["target-space"] = (0, df.replace("/var/my crash", "/var"))
    mounts = "/dev/old /var ext4 rw 0 0\n/dev/mapper/v-c /var xfs ro,relatime 0 0\n"
    target = facts({"/proc/mounts": mounts}, said).target
    assert target.filesystem == "xfs"
    assert (target.usable, target.trouble) == (False, "/var is mounted read-only")
    gone = {"target-path": (0, "/d"), "target-space": (1, "df: /d: No such file or directory")}
    assert facts({}, gone).target.trouble == "does not exist"
    hung = facts({}, {**gone, "target-space": (137, "")}).target
    assert hung.usable is False and "does not answer" in hung.trouble


def test_servers_that_answer_and_that_do_not() -> None:
    said = {
        "target-path": (0, "/dumps"),
        "target-ssh": (0, "kdump@server"),
        "target-login": (255, "ssh: connect to host server port 22: No route to host\n"),
        "target-network": (0, "interface bond0\nkind bonding\ndriver mlx5_core\n"),
    }
    target = facts({}, said).target
    assert (target.kind, target.usable) == (TargetKind.SSH, False)
    assert "No route to host" in target.trouble
    assert (target.interface, target.interface_kinds) == ("bond0", ("bonding",))
    assert target.drivers == ("mlx5_core",)
    df = "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/sda1 9 1 8 12% /\n"
    target = facts({}, {**said, "target-login": (0, df)}).target
    assert (target.usable, target.free) == (True, 8 << 10)
    nfs = {"target-path": (0, "/d"), "target-nfs": (0, "s:/e"), "target-port": (126, "")}
    # There was no bash to try the port with.
    assert facts({}, nfs).target.usable is None


def test_makedumpfile_counts_pages() -> None:
    # As show_mem_usage() prints it (makedumpfile.c).
    text = """\
The kernel version is not supported.
The makedumpfile operation may be incomplete.

TYPE\t\tPAGES\t\t\tEXCLUDABLE\tDESCRIPTION
----------------------------------------------------------------------
ZERO\t\t501635          \tyes\t\tPages filled with zero
NON_PRI_CACHE\t51657           \tyes\t\tCache pages without private flag
PRI_CACHE\t5442            \tyes\t\tCache pages with private flag
USER\t\t16301           \tyes\t\tUser process pages
FREE\t\t77738           \tyes\t\tFree pages
KERN_DATA\t1333            \tno\t\tDumpable kernel data

page size:\t\t65536
Total pages on system:\t654106
"""
    seen = facts({}, {"mem-usage": (0, text), "makedumpfile-version": (0, "makedumpfile: version "
                      "1.7.2 (released on 20 Oct 2022)\nlzo\tenabled\n")})  # fmt: skip
    assert seen.memory.savable == 1333 * 65536
    assert seen.memory.free_excluded is True
    assert seen.makedumpfile_refuses is True
    assert seen.makedumpfile == "1.7.2"
    without = text.replace("FREE\t\t77738 ", "FREE\t\t0     ")
    assert facts({}, {"mem-usage": (0, without)}).memory.free_excluded is False
    assert facts({}, {"mem-usage": (1, "no")}).memory.savable is None


def test_watchdogs_interrupts_consoles_and_locks() -> None:
    said = {
        "watchdogs": (0, "watchdog0 active iTCO_wdt 30 iTCO_wdt\nwatchdog1 unknown - - \n"),
        "first-nmi": (0, "   120    8   Non-maskable interrupts\n"),
        "second-nmi": (0, "   121    8   Non-maskable interrupts\n"),
        "secure-boot": (0, "SecureBoot 1\nSetupMode 0\n"),
        "virt": (1, "none\n"),
        "sol": (
            0,
            "Enabled                         : true\nVolatile Bit Rate (kbps)        : 115.2",
        ),
    }
    files = {
        "/proc/consoles": "tty0                 -WU (EC  p  )    4:7\nttyS0  -W- (E) 4:64\n",
        "/sys/kernel/security/lockdown": "none [integrity] confidentiality\n",
        "/sys/kernel/kexec_crash_loaded": "1\n",
        "/sys/kernel/kexec_crash_size": "9" * 5000,
    }
    seen = facts(files, said)
    assert seen.watchdogs is not None
    assert [(d.name, d.active, d.driver, d.timeout) for d in seen.watchdogs] == [
        ("watchdog0", True, "iTCO_wdt", 30),
        ("watchdog1", None, "", None),
    ]
    assert seen.nmi_counts == ((120, 8), (121, 8))
    assert seen.consoles == ("tty0", "ttyS0")
    assert (seen.kexec.lockdown, seen.kexec.secure_boot) == ("integrity", True)
    assert (seen.kexec.loaded, seen.kexec.size) == (True, None)
    assert seen.virtual == "none"
    assert seen.sol_speed == "115.2"
