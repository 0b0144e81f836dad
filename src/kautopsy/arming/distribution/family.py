"""What a family's page holds; on its own, the answers for distributions that have none."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kautopsy.arming.bootloader.change import Changes, Defaults
from kautopsy.arming.bootloader.words import values_of
from kautopsy.arming.deeds import Editor, LinkDeed
from kautopsy.arming.files import Files
from kautopsy.arming.policy import Policy
from kautopsy.arming.remedies import without
from kautopsy.model.host import HostFacts, KdumpSettings, Loader, OsRelease

_SHELL = re.compile(r"^\s*(?:export\s+)?(\w+)=(?:\"([^\"]*)\"|'([^']*)'|([^\s#]*))")


@dataclass(frozen=True)
class Edit:
    """A configuration file to edit.

    :ivar comes: what the package brings where it is not installed yet; None if it brings nothing
        and the file must be there
    """

    what: str
    path: str
    edit: Editor
    comes: str | None = None


@dataclass(frozen=True)
class Package:
    """How a package comes and goes: ``touches`` are files that its scripts change."""

    name: str
    install: tuple[str, ...]
    remove: tuple[str, ...]
    touches: tuple[str, ...] = ()


class Family:
    """One family of distributions.

    :cvar ids: values of ID in /etc/os-release
    :cvar units: names of the service, the preferred one first
    :cvar enables_itself: installing the package enables the service
    :cvar wanted_by: of its unit's [Install] section
    :cvar inputs: files whose change makes the capture initrd stale
    """

    ids: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    enables_itself = False
    wanted_by = "multi-user.target"
    unit_folder = "/usr/lib/systemd/system"

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
            return f"rpm-ostree kargs --append=crashkernel={size} && systemctl reboot"
        if loader in (Loader.SYSTEMD_BOOT, Loader.ZIPL):
            places = {facts.boot.source: "options"} if facts.boot else {}
            places |= {t.source: "" for t in facts.templates if t.source.startswith("/etc/kernel")}
            edits = [
                f"sed -i 's/ crashkernel=[^ ]*//g; "
                f"0,/^{key}./{{/^{key}./s/$/ crashkernel={size}/}}' {path}"
                for path, key in places.items()
            ]
            return " && ".join((*edits, *(["zipl"] if loader is Loader.ZIPL else []), "reboot"))
        if loader is Loader.GRUB2:
            config = facts.boot.source if facts.boot else "/boot/grub/grub.cfg"
            tool = "grub2-mkconfig" if "grub2" in config else "grub-mkconfig"
            return f"{self.in_default_grub(facts, size)} && {tool} -o {config} && reboot"
        return "kautopsy arm HOST (its boot loader is not known: add crashkernel= by hand)"

    def in_default_grub(self, facts: HostFacts, size: str) -> str:
        """The command that puts ``crashkernel=`` into /etc/default/grub, or changes it there."""
        for template in facts.templates:
            if values_of(template.arguments, "crashkernel"):
                return f"sed -i 's/crashkernel=[^ \"]*/crashkernel={size}/' {template.source}"
        variable = self.grub(facts).variable
        return f"sed -i 's/^{variable}=\"/&crashkernel={size} /' /etc/default/grub"

    def capture_words(self, words: str) -> str:
        """The command that adds words to the capture kernel's command line."""
        return f"sed -i 's/^KDUMP_COMMANDLINE_APPEND=\"/&{words} /' /etc/sysconfig/kdump"

    def drop_capture_words(self, facts: HostFacts, names: Sequence[str]) -> str:
        """The commands that keep words of the running kernel's line from the capture kernel's."""
        edit = without((*names, *facts.settings.removed))
        return (
            f"sed -i \"s|^#*KDUMP_COMMANDLINE=.*|KDUMP_COMMANDLINE=\\\"$(sed -E '{edit}'"
            f' /proc/cmdline)\\"|" /etc/sysconfig/kdump && {self.rebuild(facts)}'
        )

    def include_modules(self, facts: HostFacts, names: Sequence[str]) -> str:
        """The commands that put modules into the capture initrd."""
        words = " ".join(names)
        path = "/etc/dracut.conf.d/90-kdump.conf"
        return f"echo 'force_drivers+=\" {words} \"' > {path} && {self.rebuild(facts)}"

    def trust_server(self, server: str) -> str:
        """The command that lets the capture kernel log in to the server of its dumps."""
        return f"ssh-copy-id {server}"

    def keep_sysctls_out(self) -> str:
        """The command that keeps the machine's sysctls out of its capture kernel."""
        return ""

    def upgrade(self, package: str) -> str:
        """The command that brings a newer version of a package."""
        return f"upgrade {package}"

    def grub(self, facts: HostFacts) -> Defaults:
        """Where kernel arguments go if grub.cfg is generated."""
        return Defaults("GRUB_CMDLINE_LINUX_DEFAULT")

    def edits(self, policy: Policy, facts: HostFacts) -> tuple[Edit, ...]:
        """What its kdump must be told to do as the policy says."""
        return ()

    def package(self, facts: HostFacts) -> Package | None:
        """How its kdump is installed and removed; None if it has none."""
        return None

    def restart(self, facts: HostFacts) -> tuple[str, ...]:
        """Loads the capture image anew."""
        unit = facts.service.unit if facts.service else self.units[0]
        return ("systemctl", "restart", f"{unit}.service")

    def enable_links(self, facts: HostFacts) -> list[LinkDeed]:
        """What ``systemctl enable`` does, for a tree: a link for what the unit's file wants."""
        unit = f"{facts.service.unit if facts.service else self.units[0]}.service"
        folder = "/etc/systemd/system"
        return [
            LinkDeed(
                f"start {unit} at every boot",
                f"{folder}/{self.wanted_by}.wants/{unit}",
                None,
                f"{self.unit_folder}/{unit}",
            )
        ]

    def bootloader(self, facts: HostFacts, files: Files, values: Sequence[str]) -> Changes | None:
        """The steps of a program of its own that sets ``crashkernel=``; None without one."""
        return None

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
