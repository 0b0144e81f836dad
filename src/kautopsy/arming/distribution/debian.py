"""Debian, Ubuntu and what is made of them (kdump-tools)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from kautopsy.arming import shellfile
from kautopsy.arming.bootloader.change import Defaults
from kautopsy.arming.distribution.family import Edit, Family, Package, shell_values
from kautopsy.arming.policy import Policy
from kautopsy.arming.remedies import without
from kautopsy.model.host import HostFacts, KdumpSettings, Loader, OsRelease, TargetKind

_PARAMETER_FILE = "/etc/default/grub.d/kdump-tools.cfg"
_PARAMETERS = 'GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT crashkernel=384M-:128M"\n'

# What the package's own file sets; the rest of it are comments.
_DEFAULTS = """\
USE_KDUMP=0
KDUMP_KERNEL=/var/lib/kdump/vmlinuz
KDUMP_INITRD=/var/lib/kdump/initrd.img
KDUMP_COREDIR="/var/crash"
"""

# Its capture kernel boots the machine's own root, whose sysctl.d would panic it: it is slow, and
# the operator may press the button twice. /etc/kdump/sysctl.conf is meant to override that, but
# kdump-sysctl (1:1.8.1 to 1:1.10.7 at least) calls find with "-maxdepth=1", which fails: the
# overrides are named "-kdump.conf", which is read first, so every other file overrides them.
_DROP_INS = "/etc/systemd/system/systemd-sysctl.service.d/"
_NOT_THERE = "ConditionPathExists=!/proc/vmcore"
_NO_SYSCTLS = f"[Unit]\n{_NOT_THERE}\n"


class Debian(Family):
    """kdump-tools.service, /etc/default/kdump-tools, links in /var/lib/kdump."""

    ids = ("debian", "ubuntu", "linuxmint", "raspbian", "pop", "proxmox", "devuan", "kali")
    units = ("kdump-tools",)
    enables_itself = True
    wanted_by = "basic.target"
    unit_folder = "/lib/systemd/system"
    # /etc/default/kdump-tools is read where the initrd is left behind already.
    inputs = ("/etc/kdump/sysctl.conf", "/etc/initramfs-tools/modules", "/etc/crypttab")

    def settings(self, files: Mapping[str, str], os: OsRelease) -> KdumpSettings:
        """Of /etc/default/kdump-tools; the rest are kdump-config's own defaults."""
        path = "/etc/default/kdump-tools"
        if path not in files:
            return KdumpSettings()
        shell = shell_values(files[path])
        append = shell.get("KDUMP_CMDLINE_APPEND")
        if append is None:
            append = "reset_devices systemd.unit=kdump-tools-dump.service nr_cpus=1 irqpoll"
        return KdumpSettings(
            source=path,
            enabled=shell.get("USE_KDUMP", "0") == "1",
            collector=shell.get("MAKEDUMP_ARGS") or "-c -d 31",
            base=shell.get("KDUMP_CMDLINE", ""),
            append=tuple(append.split()),
            # kdump-config, load_crash_kernel().
            removed=("crashkernel", "hugepages", "hugepagesz", "abm"),
            kexec_file=True if "-s" in shell.get("KDUMP_KEXEC_ARGS", "").split() else None,
            failure_action=shell.get("KDUMP_FAIL_CMD", ""),
            keep=shell.get("KDUMP_NUM_DUMPS", ""),
            sysctls=not any(
                _NOT_THERE in contents.split()
                for path, contents in files.items()
                if path.startswith(_DROP_INS)
            )
            and "systemd.mask=systemd-sysctl.service" not in append,
        )

    def default_collector(self) -> str:
        """kdump-config, MAKEDUMP_ARGS."""
        return "makedumpfile -F -c -d 31"

    def table(self, facts: HostFacts) -> str | None:
        """Ubuntu's package's; Debian's (``384M-:128M``) is too small for a full initrd."""
        if facts.machine == "aarch64" and facts.os and facts.os.id == "ubuntu":
            return "2G-4G:320M,4G-32G:512M,32G-64G:1024M,64G-128G:2048M,128G-:4096M"
        if facts.os and facts.os.id == "ubuntu":
            number = re.match(r"(\d+)\.(\d+)", facts.os.version)
            if number and (int(number[1][:4]), int(number[2][:4])) >= (24, 10):
                return "2G-4G:320M,4G-32G:512M,32G-64G:1024M,64G-128G:2048M,128G-:4096M"
        return "512M-:192M"

    def set_crashkernel(self, facts: HostFacts, size: str) -> str:
        """GRUB's, in the file that the package owns; other loaders get nothing from the package."""
        loader = facts.boot.loader if facts.boot else None
        if loader not in (Loader.GRUB2, None):
            return super().set_crashkernel(facts, size)
        if any(template.source == _PARAMETER_FILE for template in facts.templates):
            edit = f"sed -i 's/crashkernel=[^ \"]*/crashkernel={size}/' {_PARAMETER_FILE}"
            return f"{edit} && update-grub && reboot"
        line = f'GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT crashkernel={size}"'
        return f"echo '{line}' > {_PARAMETER_FILE} && update-grub && reboot"

    def keep_sysctls_out(self) -> str:
        """A condition of systemd's: /proc/vmcore is there in a capture kernel only."""
        words = _NO_SYSCTLS.replace("\n", "\\n")
        return f"mkdir -p {_DROP_INS} && printf '{words}' > {_DROP_INS}kautopsy.conf"

    def capture_words(self, words: str) -> str:
        """Debian's line is commented out until somebody wants more."""
        return (
            f"sed -i 's/^#*KDUMP_CMDLINE_APPEND=\"/KDUMP_CMDLINE_APPEND=\"{words} /'"
            " /etc/default/kdump-tools"
        )

    def drop_capture_words(self, facts: HostFacts, names: Sequence[str]) -> str:
        """A line of its own in place of the running kernel's."""
        edit = without((*names, *facts.settings.removed))
        return (
            f'echo "KDUMP_CMDLINE=\\"$(sed -E \'{edit}\' /proc/cmdline)\\""'
            " >> /etc/default/kdump-tools && kdump-config unload && kdump-config load"
        )

    def include_modules(self, facts: HostFacts, names: Sequence[str]) -> str:
        """The capture initrd has what every initrd has."""
        return (
            f"printf '%s\\n' {' '.join(names)} >> /etc/initramfs-tools/modules"
            f" && {self.rebuild(facts)}"
        )

    def trust_server(self, server: str) -> str:
        """kdump-config has a word for it."""
        return "kdump-config propagate"

    def upgrade(self, package: str) -> str:
        """By apt."""
        return f"apt-get install --only-upgrade {package}"

    def grub(self, facts: HostFacts) -> Defaults:
        """The package's own file; its value for Debian is too small for a full initrd."""
        return Defaults("GRUB_CMDLINE_LINUX_DEFAULT", _PARAMETER_FILE, _PARAMETERS)

    def edits(self, policy: Policy, facts: HostFacts) -> tuple[Edit, ...]:
        """The switch, the target, and sysctls that must not panic the capture kernel."""
        wanted = {"USE_KDUMP": "1"}
        target = policy.destination
        if target is not None:
            local = target.kind is TargetKind.LOCAL
            wanted["KDUMP_COREDIR"] = target.path if local else "/var/crash"
            wanted["NFS"] = f"{target.server}:{target.path}"
            wanted["SSH"] = target.server
            if target.kind is not TargetKind.NFS:
                wanted["NFS"] = ""
            if target.kind is not TargetKind.SSH:
                wanted["SSH"] = ""
            if target.kind is TargetKind.SSH:
                wanted["KDUMP_COREDIR"] = target.path
        if policy.collector:
            wanted["MAKEDUMP_ARGS"] = policy.collector.partition(" ")[2].strip()

        def defaults(text: str | None) -> str:
            text = text or ""
            for name, value in wanted.items():
                if value or shellfile.assigned(text, name):
                    text = shellfile.set_value(text, name, value)
            return text

        edits = (Edit("tell kdump-tools", "/etc/default/kdump-tools", defaults, _DEFAULTS),)
        if not facts.settings.sysctls and facts.settings.source:
            return edits
        keep_out = "keep the policy out of the capture kernel"
        return (*edits, Edit(keep_out, f"{_DROP_INS}kautopsy.conf", lambda _: _NO_SYSCTLS, ""))

    def package(self, facts: HostFacts) -> Package:
        """Installing it runs update-grub, and so does removing it."""
        quiet = ("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-y", "-q")
        return Package(
            "kdump-tools",
            (*quiet, "install", "kdump-tools"),
            (*quiet, "purge", "kdump-tools"),
            ("/boot/grub/grub.cfg", "/boot/grub/grubenv"),
        )

    def install(self, facts: HostFacts) -> str:
        """The package's questions keep their defaults: kdump on, kexec reboots off."""
        return "DEBIAN_FRONTEND=noninteractive apt-get install -y kdump-tools"

    def enable(self, facts: HostFacts) -> str:
        """Both the service and its switch."""
        unmask = (
            "systemctl unmask kdump-tools.service && "
            if facts.service and facts.service.masked
            else ""
        )
        switch = (
            "sed -i 's/^USE_KDUMP=.*/USE_KDUMP=1/' /etc/default/kdump-tools && "
            if facts.settings.enabled is False
            else ""
        )
        return f"{switch}{unmask}systemctl enable --now kdump-tools.service"

    def rebuild(self, facts: HostFacts) -> str:
        """The package's kernel hook builds it; the links choose the running kernel's."""
        kernel = facts.release or "$(uname -r)"
        return (
            f"rm -f /var/lib/kdump/initrd.img-{kernel} &&"
            f" /etc/kernel/postinst.d/kdump-tools {kernel} && kdump-config unload &&"
            " kdump-config load"
        )
