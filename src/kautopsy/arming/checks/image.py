"""The capture initrd: up to date, and with what it takes to reach the target."""

from __future__ import annotations

import re

from kautopsy.arming.check import (
    Answer,
    Priority,
    check,
    failed,
    passed,
    skipped,
    unseen,
    warned,
)
from kautopsy.arming.distribution import family_of
from kautopsy.model.host import HostFacts, TargetKind

_HARMFUL = ("nouveau", "amdgpu", "radeon", "i915", "nvidia", "bnx2fc")
_VERSION = re.compile(r"-\d+\.\d+[^/]*$")


def _drivers_wanted(facts: HostFacts) -> list[str]:
    """Modules of the target that are loaded here: what is built in needs no module there."""
    loaded = set(facts.modules or ())
    wanted = set(facts.target.drivers or ())
    if facts.target.kind is TargetKind.NFS:
        wanted.add("nfs")
    return sorted(wanted & loaded)


@check("image-fresh", Priority.LOST)
def image_fresh(facts: HostFacts) -> Answer:
    """Made before its configuration, its kernel or fstab changed; or for another kernel."""
    image, fix = facts.image, family_of(facts.os).rebuild(facts)
    if image.initrd is None:
        if image.link:
            return failed(f"the capture initrd is missing: {image.link}", "a dangling link", fix)
        return skipped("no capture initrd was found where distributions put it")
    # /var/lib/kdump/initrd.img → initrd.img-6.1.0-50-amd64
    named = _VERSION.search(image.link or "")
    if named and facts.release and facts.release not in named[0]:
        return failed(
            "the capture initrd belongs to another kernel",
            f"{image.initrd.path} → {image.link}, running {facts.release}",
            fix,
        )
    if image.newer:
        return warned(
            "the capture initrd is older than what it is made from",
            f"{image.initrd.path}; changed since: {', '.join(image.newer)}",
            fix,
        )
    return passed("the capture initrd is up to date", image.initrd.path)


@check("image-drivers", Priority.LOST)
def image_drivers(facts: HostFacts) -> Answer:
    """The drivers that the target hangs on must be in the initrd."""
    if facts.image.initrd is None:
        return skipped("there is no capture initrd to look into")
    if facts.image.modules is None or facts.modules is None:
        return unseen(facts, "the modules in the capture initrd")
    if facts.target.drivers is None:
        return unseen(facts, "the drivers of the target")
    missing = [name for name in _drivers_wanted(facts) if name not in facts.image.modules]
    if missing:
        return failed(
            f"the capture initrd lacks the target's drivers: {', '.join(missing)}",
            facts.image.initrd.path,
            family_of(facts.os).rebuild(facts),
        )
    return passed(
        "the capture initrd has the target's drivers",
        ", ".join(_drivers_wanted(facts)) or "all are built in",
    )


@check("image-target", Priority.LOST)
def image_target(facts: HostFacts) -> Answer:
    """dracut wrote down the device that it was built for."""
    mount = facts.image.mount
    if mount is None:
        return skipped("the capture initrd does not say for which device it was built")
    if not facts.target.device:
        return unseen(facts, "the target's device")
    if (
        mount.startswith("/dev/")
        and not mount.startswith(("/dev/disk/", "/dev/mapper/"))
        and mount != facts.target.device
    ):
        return warned(
            "the capture initrd was built for another device",
            f"{mount}, the target is on {facts.target.device}",
            family_of(facts.os).rebuild(facts),
        )
    return passed("the capture initrd was built for this target", mount)


@check("image-harmful-drivers", Priority.LOST)
def image_harmful_drivers(facts: HostFacts) -> Answer:
    """Graphics and converged adapters hang or eat the memory of capture kernels."""
    if facts.image.modules is None:
        if facts.image.initrd is None:
            return skipped("there is no capture initrd to look into")
        return unseen(facts, "the modules in the capture initrd")
    family = family_of(facts.os)
    present = set(facts.modules or ()) & set(facts.image.modules)
    found = [name for name in _HARMFUL if name in present]
    if found:
        return warned(
            f"the capture initrd starts {', '.join(found)}, which is known to hang it",
            fix=family.capture_words(
                " ".join(f"{key}.blacklist={','.join(found)}" for key in ("rd.driver", "modprobe"))
            )
            + f" && {family.rebuild(facts)}",
        )
    return passed("no driver that is known to hang capture kernels is in the initrd")


@check("image-compression", Priority.DEGRADED)
def image_compression(facts: HostFacts) -> Answer:
    """dracut packs the image in squashfs or erofs, which then needs loop and overlay as well."""
    modules = facts.image.modules
    if modules is None:
        return skipped("the capture initrd could not be looked into")
    packed = [name for name in ("squashfs", "erofs") if name in modules]
    if not packed:
        return skipped("the capture initrd is not packed twice")
    missing = [
        name
        for name, option in (("loop", "BLK_DEV_LOOP"), ("overlay", "OVERLAY_FS"))
        if name not in modules and facts.option(option) is False
    ]
    if missing:
        return failed(
            f"the capture initrd is packed with {packed[0]} and lacks {', '.join(missing)}",
            fix=family_of(facts.os).rebuild(facts),
        )
    return passed(f"the capture initrd is packed with {packed[0]} and can be unpacked")
