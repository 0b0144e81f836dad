"""What is known of a machine that shall leave a dump: read once, by a probe that changes nothing.

None always means that it could not be seen: a field says what is so, never what is usual.
"""

from __future__ import annotations

from enum import StrEnum

from kautopsy.model.base import Noun


class Loader(StrEnum):
    """What starts the kernel."""

    GRUB_LEGACY = "grub-legacy"
    GRUB2 = "grub2"
    GRUB2_BLS = "grub2-bls"
    SYSTEMD_BOOT = "systemd-boot"
    ZIPL = "zipl"


class TargetKind(StrEnum):
    """Where dumps are saved."""

    LOCAL = "local"
    NFS = "nfs"
    SSH = "ssh"
    RAW = "raw"


class OsRelease(Noun, frozen=True, kw_only=True):
    """Of /etc/os-release, or of what distributions had before it: ``id`` as ``centos``."""

    id: str
    version: str = ""
    name: str = ""
    like: tuple[str, ...] = ()


class BootEntry(Noun, frozen=True, kw_only=True):
    """The kernel that starts next.

    :param source: the file that its arguments come from
    :param arguments: the kernel's command line, variables expanded; with a hypervisor, its own
    :param hypervisor: what starts before the kernel and reserves the memory: ``xen``, or nothing
    """

    loader: Loader
    source: str
    title: str
    arguments: tuple[str, ...]
    hypervisor: str = ""


class BootTemplate(Noun, frozen=True, kw_only=True):
    """Where the arguments of kernels come from that will be installed."""

    source: str
    arguments: tuple[str, ...]


class FileStat(Noun, frozen=True, kw_only=True):
    """``mtime`` in seconds since 1970, ``size`` in bytes."""

    path: str
    mtime: int
    size: int


class Sysctl(Noun, frozen=True, kw_only=True):
    """``name`` as ``kernel.panic``."""

    name: str
    value: str


class KexecFacts(Noun, frozen=True, kw_only=True):
    """What the kernel says of its capture kernel; sizes in bytes.

    :param supported: it has /sys/kernel/kexec_crash_loaded
    :param iomem: bytes of "Crash kernel" in /proc/iomem; None without root
    :param fadump: firmware-assisted dump is registered
    """

    supported: bool | None = None
    size: int | None = None
    loaded: bool | None = None
    iomem: int | None = None
    fadump: bool = False
    lockdown: str | None = None
    secure_boot: bool | None = None


class MemoryFacts(Noun, frozen=True, kw_only=True):
    """All in bytes.

    :param ram: System RAM of /proc/iomem, rounded up to 128 MiB as the kernel's crash_reserve.c
        does; or MemTotal
    :param kernel: from the start of the kernel's code to the end of its bss
    :param savable: what makedumpfile would keep at level 31
    :param free_excluded: makedumpfile found free pages it can leave out
    """

    total: int | None = None
    ram: int | None = None
    kernel: int | None = None
    savable: int | None = None
    free_excluded: bool | None = None
    encrypted: bool = False


class ServiceFacts(Noun, frozen=True, kw_only=True):
    """The service that loads the capture kernel."""

    unit: str
    installed: bool
    enabled: bool | None = None
    active: bool | None = None
    masked: bool = False
    result: str = ""


class ImageFacts(Noun, frozen=True, kw_only=True):
    """The capture initrd on disk.

    :param newer: inputs that changed after it was built
    :param modules: names of the kernel modules in it
    :param module_bytes: loaded sizes of those of them that are loaded now
    """

    initrd: FileStat | None = None
    newer: tuple[str, ...] = ()
    link: str | None = None
    modules: tuple[str, ...] | None = None
    module_bytes: int = 0
    mount: str | None = None


class TargetFacts(Noun, frozen=True, kw_only=True):
    """Where dumps go; sizes in bytes.

    :param path: on the target
    :param server: of NFS or ssh
    :param usable: it exists and can be written, or the server answers; with the reason if not
    :param drivers: modules that its disk, or the interface to its server, hangs on
    """

    kind: TargetKind
    path: str
    server: str = ""
    device: str = ""
    mounted_on: str = ""
    filesystem: str = ""
    free: int | None = None
    free_inodes: int | None = None
    usable: bool | None = None
    trouble: str = ""
    drivers: tuple[str, ...] | None = None
    encrypted: bool | None = None
    interface: str = ""
    interface_kinds: tuple[str, ...] = ()
    label: str = ""
    dumps: tuple[str, ...] = ()


class Watchdog(Noun, frozen=True, kw_only=True):
    """``driver`` is the module's name, empty where it is built in."""

    name: str
    active: bool | None
    driver: str
    timeout: int | None = None
    identity: str = ""


class KdumpSettings(Noun, frozen=True, kw_only=True):
    """What the distribution's kdump is told.

    :param collector: the command line of makedumpfile, without the programs' names
    :param append: words added to the capture kernel's command line
    :param base: its command line, where it is not the running kernel's
    :param removed: words taken away
    :param kexec_file: the image is loaded by kexec_file_load(2); None if it depends
    :param changed: when ``source`` was, in seconds since 1970
    :param sysctls: the capture kernel runs the machine's own user space, which sets its sysctls
    """

    source: str = ""
    changed: int | None = None
    enabled: bool | None = None
    collector: str = ""
    base: str = ""
    append: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    kexec_file: bool | None = None
    failure_action: str = ""
    keep: str = ""
    sysctls: bool = False


class LastDrill(Noun, frozen=True, kw_only=True):
    """The newest deliberate crash that a record tells of.

    :param when: seconds since 1970
    :param release: the kernel of that time, empty if the record does not say
    """

    passed: bool
    when: int
    source: str
    release: str = ""


class HostFacts(Noun, frozen=True, kw_only=True):
    """A machine as the probe saw it.

    :param live: the machine answered itself; False for a directory
    :param root: as root
    :param config: the kernel's build options that are y or m
    :param nmi_counts: per CPU, twice, a second or more apart
    :param log: lines of the kernel's log that matter here
    :param denied: files that exist and could not be read
    :param efi: it was started by UEFI
    :param tools: names of programs that change boot loaders, services and packages
    :param last_drill: as the machine keeps it, or kautopsy where it runs
    """

    live: bool
    root: bool
    os: OsRelease | None = None
    release: str = ""
    machine: str = ""
    node: str = ""
    now: int | None = None
    page_size: int | None = None
    cpus: int | None = None
    container: str | None = None
    virtual: str | None = None
    ostree: bool = False
    cmdline: tuple[str, ...] | None = None
    config: tuple[str, ...] | None = None
    kexec: KexecFacts
    memory: MemoryFacts
    sysctls: tuple[Sysctl, ...] = ()
    post_notifiers: bool | None = None
    boot: BootEntry | None = None
    templates: tuple[BootTemplate, ...] = ()
    service: ServiceFacts | None = None
    settings: KdumpSettings
    image: ImageFacts
    target: TargetFacts
    watchdogs: tuple[Watchdog, ...] | None = None
    hpwdt_kdumptimeout: int | None = None
    runtime_watchdog: str = ""
    fencing: tuple[str, ...] = ()
    modules: tuple[str, ...] | None = None
    nmi_counts: tuple[tuple[int, ...], tuple[int, ...]] | None = None
    consoles: tuple[str, ...] | None = None
    sol_speed: str = ""
    bmc: bool | None = None
    hotplug: tuple[str, ...] | None = None
    kexec_tools: str = ""
    makedumpfile: str | None = None
    makedumpfile_words: str = ""
    makedumpfile_refuses: bool | None = None
    vmcoreinfo: bool | None = None
    debuginfo: tuple[str, ...] = ()
    selinux: bool | None = None
    pstore: tuple[str, ...] | None = None
    log: tuple[str, ...] | None = None
    dm_crypt_keys: bool | None = None
    efi: bool | None = None
    tools: tuple[str, ...] = ()
    last_drill: LastDrill | None = None
    denied: tuple[str, ...] = ()

    def sysctl(self, name: str) -> str | None:
        """The value of ``kernel.NAME`` or ``vm.NAME``; None if it could not be read."""
        return next((s.value for s in self.sysctls if s.name == name), None)

    def option(self, name: str) -> bool | None:
        """Whether the kernel was built with ``CONFIG_NAME``; None if nobody knows."""
        return None if self.config is None else name in self.config
