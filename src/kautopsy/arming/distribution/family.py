"""What a family's page holds; on its own, the answers for distributions that have none."""

from __future__ import annotations

import re
from collections.abc import Mapping

from kautopsy.model.host import HostFacts, KdumpSettings, Loader, OsRelease

_SHELL = re.compile(r"^\s*(?:export\s+)?(\w+)=(?:\"([^\"]*)\"|'([^']*)'|([^\s#]*))")


class Family:
    """One family of distributions.

    :cvar ids: values of ID in /etc/os-release
    :cvar units: names of the service, the preferred one first
    :cvar inputs: files whose change makes the capture initrd stale
    """

    ids: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()

    def settings(self, files: Mapping[str, str], os: OsRelease) -> KdumpSettings:
        """What its kdump is told."""
        return KdumpSettings()

    def table(self, facts: HostFacts) -> str | None:
        """The ``crashkernel=`` ranges it recommends; None if it has no opinion."""
        return None

    def default_collector(self) -> str:
        """makedumpfile's arguments where nobody chose any."""
        return ""

    def set_crashkernel(self, facts: HostFacts, size: str) -> str:
        """The command that asks for ``size`` at the next boot and for future kernels."""
        loader = facts.boot.loader if facts.boot else None
        if facts.ostree:
            return f"rpm-ostree kargs --replace=crashkernel={size} && systemctl reboot"
        if loader is Loader.SYSTEMD_BOOT:
            return (
                f"add crashkernel={size} to /etc/kernel/cmdline, then: kernel-install add"
                f" {facts.release or '$(uname -r)'}"
                f" /lib/modules/{facts.release or '$(uname -r)'}/vmlinuz && reboot"
            )
        if loader is Loader.GRUB2:
            return (
                f"add crashkernel={size} to GRUB_CMDLINE_LINUX in /etc/default/grub, then:"
                f" grub-mkconfig -o {facts.boot.source if facts.boot else '/boot/grub/grub.cfg'}"
                " && reboot"
            )
        return f"add crashkernel={size} to the kernel's command line, then: reboot"

    def install(self, facts: HostFacts) -> str:
        """The command that installs kdump."""
        return "install kexec-tools and makedumpfile, and a unit that runs kexec -p at boot"

    def enable(self, facts: HostFacts) -> str:
        """The command that starts its service now and at every boot."""
        if not self.units:
            return self.install(facts)
        unit = facts.service.unit if facts.service else self.units[0]
        return f"systemctl enable --now {unit}.service"

    def rebuild(self, facts: HostFacts) -> str:
        """The command that builds and loads the capture image anew."""
        return "rebuild the capture initrd, then load it: kexec -p"


def shell_values(text: str) -> dict[str, str]:
    """``KEY="value"`` lines, as sh would read the simple ones; the last of a name counts."""
    found = {}
    for line in text.splitlines():
        match = _SHELL.match(line)
        if match:
            found[match[1]] = match[2] or match[3] or match[4] or ""
    return found


def major(os: OsRelease | None) -> int:
    """The number a version begins with; 0 without one."""
    match = re.match(r"\d{1,4}", os.version if os else "")
    return int(match[0]) if match else 0
