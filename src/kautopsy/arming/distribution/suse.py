"""SUSE Linux Enterprise and openSUSE, the transactional ones too (kdump, kdumptool)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from kautopsy.arming import shellfile
from kautopsy.arming.bootloader.change import Changes, change, will_ask
from kautopsy.arming.bootloader.words import values_of
from kautopsy.arming.deeds import CommandDeed, Deed, FileDeed
from kautopsy.arming.distribution.family import Edit, Family, Package, major, shell_values
from kautopsy.arming.files import Files
from kautopsy.arming.policy import Policy
from kautopsy.arming.sizes import MIB, size_of
from kautopsy.model.host import HostFacts, KdumpSettings, OsRelease, TargetKind

# KDUMP_DUMPFORMAT, and makedumpfile's options.
_FORMATS = {"lzo": "-l", "compressed": "-c", "zstd": "-z", "snappy": "-p", "raw": "-R"}


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
        form = _FORMATS.get(shell.get("KDUMP_DUMPFORMAT", "lzo").lower(), "")
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
        if _micro(facts):
            return "transactional-update setup-kdump && reboot"
        if _new(facts):
            path = "/etc/sysconfig/kdump"
            edit = f's/^KDUMP_CRASHKERNEL=.*/KDUMP_CRASHKERNEL="crashkernel={size}"/'
            return f"sed -i '{edit}' {path} && kdumptool commandline -u && reboot"
        return super().set_crashkernel(facts, size)

    def upgrade(self, package: str) -> str:
        """By zypper."""
        return f"zypper update {package}"

    def bootloader(self, facts: HostFacts, files: Files, values: Sequence[str]) -> Changes | None:
        """kdumptool's, where it can; transactional-update's where the root cannot be written."""
        words = [f"crashkernel={value}" for value in values]
        if not facts.live:
            changes = change(facts, files, values, self.grub(facts))
            changes.deeds += self._remembered(facts, files, values)
            return changes
        if "transactional-update" in facts.tools and _micro(facts):
            # LOW,HIGH in MiB is all it takes; without numbers it asks kdumptool calibrate.
            return Changes(
                [
                    CommandDeed(
                        "ask for memory in a new snapshot",
                        ("transactional-update", "--non-interactive", "setup-kdump",
                         *_low_and_high(values)),
                        undo=("transactional-update", "rollback", "last"),
                        timeout=1800.0,
                    )
                ]
            )  # fmt: skip
        if "kdumptool" not in facts.tools or not _new(facts):
            return None
        deeds: list[Deed] = [*self._remembered(facts, files, values)]
        asked = values_of(facts.boot.arguments, "crashkernel") if facts.boot else []
        if deeds or asked != list(values):
            again = ("kdumptool", "commandline", "-u")
            deeds.append(
                CommandDeed(
                    f"ask for {' '.join(words)} at every boot",
                    again,
                    ("/etc/default/grub", "/boot/grub2/grub.cfg", "/etc/kernel/cmdline",
                     "/boot/efi/loader/entries/*.conf", "/boot/loader/entries/*.conf"),
                    renew=again,
                    verify=will_ask(values),
                    timeout=900.0,
                )
            )  # fmt: skip
        return Changes(deeds)

    def _remembered(self, facts: HostFacts, files: Files, values: Sequence[str]) -> list[FileDeed]:
        """kdump-commandline.service compares the line with this at every boot (kdump 2)."""
        path = "/etc/sysconfig/kdump"
        text = files.text(path)
        if text is None or not (_new(facts) or shellfile.assigned(text, "KDUMP_CRASHKERNEL")):
            return []
        wanted = " ".join(f"crashkernel={value}" for value in values)
        return files.edit(
            "tell kdump how much memory to ask for",
            path,
            lambda text: shellfile.set_value(text or "", "KDUMP_CRASHKERNEL", wanted),
        )

    def edits(self, policy: Policy, facts: HostFacts) -> tuple[Edit, ...]:
        """/etc/sysconfig/kdump, where the policy wants something."""
        wanted: dict[str, str] = {}
        target = policy.destination
        if target is not None:
            place = f"{target.server}{target.path}" if target.server else target.path
            scheme = {TargetKind.NFS: "nfs", TargetKind.SSH: "ssh"}.get(target.kind, "file")
            wanted["KDUMP_SAVEDIR"] = f"{scheme}://{place}"
        if policy.collector:
            words = policy.collector.split()
            flags = {flag: form for form, flag in _FORMATS.items() if flag in words}
            level = re.search(r"-d\s*(\d+)", policy.collector)
            wanted["KDUMP_DUMPFORMAT"] = next(iter(flags.values()), "none")
            wanted["KDUMP_DUMPLEVEL"] = level[1] if level else "31"
        if not wanted:
            return ()

        def edit(text: str | None) -> str:
            text = text or ""
            for name, value in wanted.items():
                text = shellfile.set_value(text, name, value)
            return text

        return (Edit("tell kdump", "/etc/sysconfig/kdump", edit, ""),)

    def package(self, facts: HostFacts) -> Package:
        """Dependencies go with it."""
        return Package(
            "kdump",
            ("zypper", "--non-interactive", "install", "kdump"),
            ("zypper", "--non-interactive", "remove", "--clean-deps", "kdump"),
            ("/etc/sysconfig/kdump",),
        )

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


def _micro(facts: HostFacts) -> bool:
    return facts.os is not None and "micro" in facts.os.id


def _new(facts: HostFacts) -> bool:
    """kdump 2, whose kdumptool changes the boot loader: SLE 16, Leap 16, Tumbleweed."""
    if facts.os is not None and facts.os.id == "opensuse-tumbleweed":
        return True
    return 16 <= major(facts.os) < 40 and not _micro(facts)


def _low_and_high(values: Sequence[str]) -> list[str]:
    """``--crashkernel=LOW,HIGH`` in MiB; nothing where the values are no such pair."""
    sizes = {value.rpartition(",")[2]: size_of(value) or 0 for value in values if "," in value}
    if not {"low", "high"} <= set(sizes):
        return []
    return [f"--crashkernel={sizes['low'] // MIB},{sizes['high'] // MIB}"]
