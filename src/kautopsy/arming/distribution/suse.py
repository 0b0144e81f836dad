"""SUSE Linux Enterprise and openSUSE, the transactional ones too (kdump, kdumptool)."""

from __future__ import annotations

from collections.abc import Mapping

from kautopsy.arming.distribution.family import Family, major, shell_values
from kautopsy.model.host import HostFacts, KdumpSettings, Loader, OsRelease


class Suse(Family):
    """kdump.service, /etc/sysconfig/kdump, an initrd beside the kernel or in /var/lib/kdump."""

    ids = (
        "suse", "sles", "sled", "sle-micro", "sl-micro", "opensuse", "opensuse-leap",
        "opensuse-tumbleweed", "opensuse-microos",
    )  # fmt: skip
    units = ("kdump", "kdump-early")
    inputs = (
        "/etc/sysconfig/kdump",
        "/etc/hosts",
        "/etc/nsswitch.conf",
        "/etc/fstab",
        "/etc/crypttab",
    )

    def settings(self, files: Mapping[str, str], os: OsRelease) -> KdumpSettings:
        """Of /etc/sysconfig/kdump."""
        path = "/etc/sysconfig/kdump"
        if path not in files:
            return KdumpSettings()
        shell = shell_values(files[path])
        flags = {"lzo": "-l", "compressed": "-c", "zstd": "-z", "snappy": "-p", "raw": "-R"}
        form = flags.get(shell.get("KDUMP_DUMPFORMAT", "lzo").lower(), "")
        options = shell.get("KDUMP_KEXEC_OPTIONS", shell.get("KEXEC_OPTIONS", "")).split()
        return KdumpSettings(
            source=path,
            collector=f"{form} -d {shell.get('KDUMP_DUMPLEVEL') or '31'}".strip(),
            base=shell.get("KDUMP_COMMANDLINE", ""),
            append=tuple(shell.get("KDUMP_COMMANDLINE_APPEND", "").split()),
            # load.sh, build_kdump_commandline().
            removed=(
                "crashkernel",
                "hugepages",
                "hugepagesz",
                "unknown_nmi_panic",
                "panic_on_warn",
            ),
            kexec_file=True if "-s" in options else False if "-c" in options else None,
            failure_action=(
                "continue" if shell.get("KDUMP_CONTINUE_ON_ERROR", "") == "true" else ""
            ),
            keep=shell.get("KDUMP_KEEP_OLD_DUMPS", ""),
        )

    def default_collector(self) -> str:
        """Of the file's own text."""
        return "makedumpfile -l -d 31"

    def table(self, facts: HostFacts) -> str | None:
        """kdumptool calibrate measures; without it the fallback of kdump's DEF_RESERVE_KB."""
        return "512M-:384M" if facts.machine.startswith("ppc64") else "512M-:192M"

    def set_crashkernel(self, facts: HostFacts, size: str) -> str:
        """By kdumptool from kdump 2 on (SLE 16, Leap 16, Tumbleweed), else by hand."""
        identity = facts.os.id if facts.os else ""
        if "micro" in identity:
            return f"transactional-update setup-kdump --crashkernel={size} && reboot"
        if identity == "opensuse-tumbleweed" or 16 <= major(facts.os) < 40:
            return (
                f'set KDUMP_CRASHKERNEL="crashkernel={size}" in /etc/sysconfig/kdump, then:'
                " kdumptool commandline -u && reboot"
            )
        if facts.boot and facts.boot.loader is Loader.GRUB2:
            return (
                f"add crashkernel={size} to GRUB_CMDLINE_LINUX_DEFAULT in /etc/default/grub, then:"
                " grub2-mkconfig -o /boot/grub2/grub.cfg && reboot"
            )
        return super().set_crashkernel(facts, size)

    def install(self, facts: HostFacts) -> str:
        """One package."""
        return "zypper install kdump"

    def enable(self, facts: HostFacts) -> str:
        """The early one follows it."""
        unmask = (
            "systemctl unmask kdump.service && " if facts.service and facts.service.masked else ""
        )
        return f"{unmask}systemctl enable --now kdump.service"

    def rebuild(self, facts: HostFacts) -> str:
        """mkdumprd came with kdump 0.9; the restart loads the new image."""
        return "mkdumprd -f && systemctl restart kdump.service"
