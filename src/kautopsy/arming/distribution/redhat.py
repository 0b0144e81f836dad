"""Red Hat Enterprise Linux 5 to 10, its rebuilds and kin, and Fedora (kdump-utils, kexec-tools)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from kautopsy.arming import kdump_conf
from kautopsy.arming.bootloader.change import Defaults
from kautopsy.arming.deeds import LinkDeed
from kautopsy.arming.distribution.family import Edit, Family, Package, major, shell_values
from kautopsy.arming.policy import Policy
from kautopsy.model.host import HostFacts, KdumpSettings, Loader, OsRelease, TargetKind


class RedHat(Family):
    """kdump.service, /etc/kdump.conf, /etc/sysconfig/kdump, an initramfs of its own."""

    ids = (
        "rhel", "centos", "fedora", "almalinux", "rocky", "ol", "oracle", "scientific",
        "amzn", "openeuler", "anolis", "cloudlinux", "virtuozzo", "eurolinux", "mariner",
        "azurelinux",
    )  # fmt: skip
    units = ("kdump", "kdump-early")
    inputs = (
        "/etc/kdump.conf",
        "/etc/sysconfig/kdump",
        "/etc/fstab",
        "/etc/crypttab",
        "/etc/lvm/lvm.conf",
    )

    def settings(self, files: Mapping[str, str], os: OsRelease) -> KdumpSettings:
        """Of kdump.conf (``key value``) and sysconfig."""
        options: dict[str, str] = {}
        for path, text in sorted(files.items()):
            if path == "/etc/kdump.conf" or path.startswith("/etc/kdump.conf.d/"):
                for line in text.splitlines():
                    key, _, value = line.split("#", 1)[0].strip().partition(" ")
                    if key:
                        options[key] = value.strip()
        shell = shell_values(files.get("/etc/sysconfig/kdump", ""))
        collector = options.get("core_collector", self.default_collector())
        return KdumpSettings(
            source="/etc/kdump.conf" if "/etc/kdump.conf" in files else "",
            collector=re.sub(r"^\S*makedumpfile\s*", "", collector),
            base=shell.get("KDUMP_COMMANDLINE", ""),
            append=tuple(shell.get("KDUMP_COMMANDLINE_APPEND", "").split()),
            # kdump-lib.sh, prepare_cmdline(): these go whatever the file says.
            removed=(
                *shell.get("KDUMP_COMMANDLINE_REMOVE", "").split(),
                "crashkernel", "panic_on_warn", "hugepages", "hugepagesz",
            ),
            kexec_file=_kexec_file(shell.get("KEXEC_ARGS", "")),
            failure_action=options.get("failure_action", options.get("default", "")),
        )  # fmt: skip

    def default_collector(self) -> str:
        """Of kdump.conf's own text."""
        return "makedumpfile -l --message-level 7 -d 31"

    def table(self, facts: HostFacts) -> str | None:
        """Of kdump-lib.sh (kdump_get_arch_recommend_crashkernel); before el9 the manuals'."""
        if facts.machine == "aarch64":
            return "2G-4G:256M,4G-64G:320M,64G-:576M"
        if facts.machine.startswith("ppc64"):
            return "2G-4G:384M,4G-16G:512M,16G-64G:1G,64G-128G:2G,128G-:4G"
        version = major(facts.os)
        if facts.os and facts.os.id == "fedora":
            return "2G-64G:256M,64G-:512M"
        if version <= 6:
            return "2G-16G:128M,16G-:256M"
        if version == 7:
            return "2G-64G:161M,64G-1T:226M,1T-:512M"
        if version in (8, 9):
            return "1G-4G:192M,4G-64G:256M,64G-:512M"
        return "2G-64G:256M,64G-:512M"

    def set_crashkernel(self, facts: HostFacts, size: str) -> str:
        """By grubby; where a generated grub.cfg would lose it, in /etc/default/grub too."""
        loader = facts.boot.loader if facts.boot else None
        if facts.ostree or loader in (Loader.SYSTEMD_BOOT, Loader.ZIPL):
            return super().set_crashkernel(facts, size)
        command = f"grubby --update-kernel=ALL --args=crashkernel={size}"
        if facts.machine == "s390x":
            command += " && zipl"
        if loader is Loader.GRUB2:
            command += f" && {self.in_default_grub(facts, size)}"
        return f"{command} && reboot"

    def drop_capture_words(self, facts: HostFacts, names: Sequence[str]) -> str:
        """kdump-lib.sh takes them away."""
        edit = f's/^KDUMP_COMMANDLINE_REMOVE="/&{" ".join(names)} /'
        return f"sed -i '{edit}' /etc/sysconfig/kdump && {self.rebuild(facts)}"

    def include_modules(self, facts: HostFacts, names: Sequence[str]) -> str:
        """By kdump.conf."""
        return f"echo 'extra_modules {' '.join(names)}' >> /etc/kdump.conf && {self.rebuild(facts)}"

    def trust_server(self, server: str) -> str:
        """kdumpctl has a word for it."""
        return "kdumpctl propagate"

    def upgrade(self, package: str) -> str:
        """dnf, or what came before it."""
        return f"dnf upgrade {package} || yum update {package}"

    def grub(self, facts: HostFacts) -> Defaults:
        """For recovery entries too, as anaconda does it."""
        return Defaults("GRUB_CMDLINE_LINUX")

    def edits(self, policy: Policy, facts: HostFacts) -> tuple[Edit, ...]:
        """kdump.conf is as the package brings it unless the policy wants more."""
        target, collector = policy.destination, policy.collector
        if target is None and not collector:
            return ()

        def edit(text: str | None) -> str:
            text = text or ""
            if target is not None:
                keys = {TargetKind.NFS: "nfs", TargetKind.SSH: "ssh"}
                key = keys.get(target.kind, "")
                text = kdump_conf.comment_out(text, tuple(set(kdump_conf.TARGETS) - {key}))
                if target.kind is TargetKind.NFS:
                    text = kdump_conf.set_option(text, "nfs", f"{target.server}:{target.path}")
                    text = kdump_conf.set_option(text, "path", "/")
                else:
                    if key:
                        text = kdump_conf.set_option(text, key, target.server)
                    text = kdump_conf.set_option(text, "path", target.path)
            wanted = collector or kdump_conf.option(text, "core_collector") or ""
            piped = kdump_conf.option(text, "ssh") or kdump_conf.option(text, "raw")
            if piped and "-F" not in (wanted or self.default_collector()).split():
                # Through a pipe makedumpfile can only write its flattened format.
                words = (wanted or self.default_collector()).split()
                wanted = " ".join((words[0], "-F", *words[1:]))
            return kdump_conf.set_option(text, "core_collector", wanted) if wanted else text

        return (Edit("tell kdump", "/etc/kdump.conf", edit, ""),)

    def package(self, facts: HostFacts) -> Package:
        """Dependencies that nobody else needs go with it (clean_requirements_on_remove)."""
        words = self.install(facts).split()
        return Package(
            words[-1],
            (words[0], "-y", "install", words[-1]),
            (words[0], "-y", "remove", words[-1]),
            ("/etc/kdump.conf", "/etc/sysconfig/kdump"),
        )

    def restart(self, facts: HostFacts) -> tuple[str, ...]:
        """The service builds a new initrd where its configuration is newer."""
        if self.is_sysv(facts):
            return ("service", "kdump", "restart")
        return super().restart(facts)

    def enable_links(self, facts: HostFacts) -> list[LinkDeed]:
        """Of chkconfig's header in the init script: ``# chkconfig: - 20 80`` on el5 and el6."""
        if not self.is_sysv(facts):
            return super().enable_links(facts)
        return [
            LinkDeed(
                f"start kdump at every boot, in run level {level}",
                f"/etc/rc.d/rc{level}.d/S20kdump",
                None,
                "../init.d/kdump",
            )
            for level in (2, 3, 4, 5)
        ]

    def is_sysv(self, facts: HostFacts) -> bool:
        """Whether it is el5 or el6: run levels, chkconfig, no sysctl.d."""
        old = 0 < major(facts.os) <= 6
        return old and facts.os is not None and facts.os.id not in ("fedora", "amzn")

    def install(self, facts: HostFacts) -> str:
        """Its package was split from kexec-tools in Fedora 40 and el10."""
        fedora = facts.os is not None and facts.os.id == "fedora"
        new = major(facts.os) >= (40 if fedora else 10)
        tool = "yum" if 0 < major(facts.os) < 8 and not fedora else "dnf"
        return f"{tool} install {'kdump-utils' if new else 'kexec-tools'}"

    def enable(self, facts: HostFacts) -> str:
        """SysV init on el5 and el6."""
        if self.is_sysv(facts):
            return "chkconfig kdump on && service kdump start"
        unmask = "systemctl unmask kdump.service && " if _masked(facts) else ""
        return f"{unmask}systemctl enable --now kdump.service"

    def rebuild(self, facts: HostFacts) -> str:
        """``kdumpctl rebuild`` came with el8."""
        version = major(facts.os)
        if 0 < version <= 6:
            return "touch /etc/kdump.conf && service kdump restart"
        if version == 7:
            return "touch /etc/kdump.conf && systemctl restart kdump.service"
        return "kdumpctl rebuild && systemctl restart kdump.service"


def _masked(facts: HostFacts) -> bool:
    return facts.service is not None and facts.service.masked


def _kexec_file(arguments: str) -> bool | None:
    words = arguments.split()
    if "-s" in words or "--kexec-file-syscall" in words:
        return True
    if "-c" in words or "--kexec-syscall" in words:
        return False
    return None
