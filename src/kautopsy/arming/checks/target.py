"""Where dumps go: reachable, writable, with room, and of a kind that works."""

from __future__ import annotations

from kautopsy.arming.check import (
    Answer,
    Priority,
    check,
    failed,
    passed,
    skipped,
    unknown,
    unseen,
    warned,
)
from kautopsy.arming.collector import dump_level
from kautopsy.arming.distribution import family_of
from kautopsy.arming.sizes import mib
from kautopsy.model.host import HostFacts, TargetKind

_UNSUPPORTED = {
    "overlay": "an overlay is not there when the capture kernel runs",
    "tmpfs": "it is in memory, and gone after the reboot",
    "zfs": "the capture initrd has no ZFS",
    "btrfs": "only plain subvolumes are supported",
    "squashfs": "it cannot be written",
}
_ELSEWHERE = "kautopsy arm HOST --apply --target nfs://SERVER/EXPORT (or ssh://USER@SERVER/PATH)"
_LEAST_INODES = 100


def _nothing_configured(facts: HostFacts) -> bool:
    return not facts.settings.source


@check("target-usable", Priority.IMPOSSIBLE)
def target_usable(facts: HostFacts) -> Answer:
    """It exists and can be written, or its server answers."""
    target = facts.target
    if _nothing_configured(facts):
        return skipped("no kdump configuration names a target")
    if target.kind is TargetKind.RAW:
        return unknown(f"a raw device ({target.device}) is written without a look")
    place = target.path
    if target.kind is not TargetKind.LOCAL:
        place = f"{target.kind.value} {target.server}:{target.path}"
    if target.usable is None:
        return unseen(facts, f"whether {place} can be written")
    if target.usable:
        return passed(f"dumps go to {place}", target.device or "the server answers")
    fix = {
        TargetKind.LOCAL: f"mkdir -p {place}"
        if target.trouble == "does not exist"
        else f"umount -l {place}"
        if "answer" in target.trouble
        else f"mount -o remount,rw {target.mounted_on or place}",
        TargetKind.NFS: f"showmount -e {target.server}",
        TargetKind.SSH: family_of(facts.os).trust_server(target.server),
    }[target.kind]
    return failed(f"{place} {target.trouble or 'cannot be written'}", fix=fix)


@check("target-space", Priority.LOST)
def target_space(facts: HostFacts) -> Answer:
    """Room for this machine's dump: of makedumpfile's count of pages, or of MemTotal."""
    target, level = facts.target, dump_level(facts)
    if _nothing_configured(facts):
        return skipped("no kdump configuration names a target")
    if target.free is None:
        return unseen(facts, f"the space at {target.path or target.device}")
    # btrfs and others that have no fixed number of inodes say 0 of 0.
    fixed = target.filesystem not in ("btrfs", "vfat", "zfs")
    if fixed and target.free_inodes is not None and target.free_inodes < _LEAST_INODES:
        return failed(
            f"{target.mounted_on} has {target.free_inodes} inodes left",
            fix=f"du --inodes -x {target.mounted_on} | sort -n | tail",
        )
    total = facts.memory.total
    if level == 31 and facts.memory.savable is not None:
        wanted, why = facts.memory.savable, "kernel data at level 31, before compression"
    elif total is not None and level == 31:
        # Kernel memory of ordinary machines; a table of slabs and caches can hold far more.
        wanted, why = total // 4, "a quarter of the memory, at level 31"
    elif total is not None:
        wanted, why = total, f"all memory, at level {level}"
    else:
        return unseen(facts, "how big a dump would be")
    evidence = f"{mib(target.free)} free in {target.mounted_on or target.path}; {why}"
    fix = f"du -xm {target.path} | sort -n | tail; or: {_ELSEWHERE}"
    if target.free < wanted // 4:
        return failed(f"the dump needs up to {mib(wanted)} and will not fit", evidence, fix)
    if target.free < wanted:
        return warned(f"the dump may need {mib(wanted)}, which may not fit", evidence, fix)
    return passed(f"the dump, at most about {mib(wanted)}, will fit", evidence)


@check("target-encrypted", Priority.LOST)
def target_encrypted(facts: HostFacts) -> Answer:
    """LUKS needs its key in the capture kernel (crash_dm_crypt_keys, 6.16) and a lot of memory."""
    if facts.target.kind is not TargetKind.LOCAL:
        return skipped("the target is not on a disk of this machine")
    if facts.target.encrypted is None:
        return unseen(facts, "whether the target is encrypted")
    if not facts.target.encrypted:
        return passed("the target is not encrypted")
    if facts.dm_crypt_keys:
        return passed("the target is encrypted, and the kernel can hand over its keys")
    return warned(
        "the target is encrypted: the capture kernel will wait for a passphrase",
        "no /sys/kernel/config/crash_dm_crypt_keys",
        _ELSEWHERE,
    )


@check("target-kind", Priority.LOST)
def target_kind(facts: HostFacts) -> Answer:
    """File systems and stacks that capture kernels cannot write to."""
    target = facts.target
    if target.kind is not TargetKind.LOCAL:
        return skipped("the target is not a file system of this machine")
    if not target.filesystem:
        return unseen(facts, "the target's file system")
    if target.filesystem in _UNSUPPORTED and not _nothing_configured(facts):
        return warned(
            f"{target.path} is on {target.filesystem}: {_UNSUPPORTED[target.filesystem]}",
            target.device,
            _ELSEWHERE,
        )
    return passed(f"{target.filesystem} works", target.device)


@check("target-network", Priority.LOST)
def target_network(facts: HostFacts) -> Answer:
    """What the capture kernel must set up again to reach its server."""
    target = facts.target
    if target.kind not in (TargetKind.NFS, TargetKind.SSH):
        return skipped("dumps stay on this machine")
    if not target.interface:
        return unseen(facts, f"the interface towards {target.server}")
    if "wireless" in target.interface_kinds:
        return failed(
            f"{target.interface} is wireless: the capture kernel cannot use it",
            fix="kautopsy arm HOST --apply --target /var/crash",
        )
    if target.interface_kinds:
        return warned(
            f"{target.interface} ({target.interface_kinds[0]}) must come up in the initrd too",
            fix="kautopsy drill HOST",
        )
    return passed(f"{target.server} is reached over {target.interface}")


@check("target-leftovers", Priority.OPERATION)
def target_leftovers(facts: HostFacts) -> Answer:
    """Incomplete dumps are failures that nobody noticed."""
    target = facts.target
    if not facts.live or target.kind is not TargetKind.LOCAL:
        return (
            unseen(facts, "what lies at the target")
            if not facts.live
            else skipped("the target is another machine's")
        )
    bad = [name for name in target.dumps if "incomplete" in name]
    if bad:
        return warned(f"{len(bad)} dumps were never finished", ", ".join(bad[-3:]), f"ls {bad[-1]}")
    if target.dumps:
        return passed(f"{len(target.dumps)} dumps are there", target.dumps[-1])
    return passed(f"no dump waits in {target.path}")


@check("selinux-label", Priority.DEGRADED)
def selinux_label(facts: HostFacts) -> Answer:
    """With SELinux enforcing, the saved dump must be readable by what processes it."""
    if facts.selinux is None:
        return skipped("SELinux is not there") if facts.live else unseen(facts, "SELinux")
    label = facts.target.label
    if not facts.selinux or not label or label == "?":
        return passed("SELinux does not stand in the way")
    if "kdump_crash_t" in label or facts.target.path != "/var/crash":
        return passed("the target's SELinux label is right", label)
    return warned(
        f"{facts.target.path} has an odd SELinux label",
        label,
        f"restorecon -Rv {facts.target.path}",
    )
