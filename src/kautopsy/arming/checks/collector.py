"""makedumpfile: does it know this kernel, and do its arguments make sense?"""

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
from kautopsy.arming.collector import dump_level
from kautopsy.arming.distribution import family_of
from kautopsy.model.host import HostFacts, TargetKind

_ARM = 'kautopsy arm HOST --apply --collector "makedumpfile -l -d 31"'
_COMPRESSORS = {"-l": "lzo", "-p": "snappy", "-z": "zstd"}


@check("makedumpfile-version", Priority.DEGRADED)
def makedumpfile_version(facts: HostFacts) -> Answer:
    """One that is too old keeps free pages (gigabytes), or gives up and copies everything."""
    version = facts.makedumpfile
    if version is None:
        return unseen(facts, "makedumpfile's version")
    if not version:
        if not facts.settings.source:
            return skipped("makedumpfile is not installed")
        return warned(
            "makedumpfile is not installed: dumps are copies of all memory",
            fix=family_of(facts.os).install(facts),
        )
    if facts.memory.free_excluded is False:
        return warned(
            "makedumpfile does not find this kernel's free pages: dumps are as big as memory",
            f"makedumpfile {version} on {facts.release}: --mem-usage has no FREE row",
            family_of(facts.os).upgrade("makedumpfile"),
        )
    if facts.makedumpfile_refuses:
        return warned(
            f"makedumpfile {version} says that it does not support this kernel",
            f"running {facts.release}",
            family_of(facts.os).upgrade("makedumpfile"),
        )
    return passed("makedumpfile can read this kernel", f"version {version}")


@check("collector-arguments", Priority.DEGRADED)
def collector_arguments(facts: HostFacts) -> Answer:
    """Level, compressor, and -F where dumps go through a pipe."""
    words = facts.settings.collector.split()
    if not words:
        return skipped("no collector is configured")
    level = dump_level(facts)
    said = facts.settings.collector
    if not 0 <= level <= 31:
        return failed(f"dump level {level} does not exist", said, _ARM)
    for option, name in _COMPRESSORS.items():
        if option in words and re.search(rf"^{name}\s+disabled", facts.makedumpfile_words, re.M):
            return failed(
                f"this makedumpfile was built without {name}", said, _ARM.replace("-l", "-c")
            )
    # Debian's and SUSE's scripts add -F themselves.
    piped = facts.target.kind in (TargetKind.SSH, TargetKind.RAW)
    if piped and "-F" not in words and facts.settings.source == "/etc/kdump.conf":
        return failed(
            f"a target of kind {facts.target.kind.value} needs makedumpfile -F",
            said,
            _ARM.replace("-l", "-F -l"),
        )
    if level == 0:
        return warned("every page is saved, empty ones too", said, _ARM)
    return passed(f"level {level}", said)


@check("vmcoreinfo", Priority.DEGRADED)
def vmcoreinfo(facts: HostFacts) -> Answer:
    """Without it a dump cannot be filtered, nor read without the right vmlinux."""
    if facts.vmcoreinfo is None:
        return unseen(facts, "vmcoreinfo")
    if not facts.vmcoreinfo:
        return warned("the kernel offers no vmcoreinfo", "/sys/kernel/vmcoreinfo does not exist")
    return passed("the kernel describes itself to dump tools")


@check("debuginfo", Priority.DEGRADED)
def debuginfo(facts: HostFacts) -> Answer:
    """Line numbers and types of a dump come from debuginfo, or from BTF in the dump itself."""
    if facts.debuginfo:
        return passed("debuginfo of this kernel is installed", facts.debuginfo[0])
    btf = facts.option("DEBUG_INFO_BTF")
    if btf:
        return passed("dumps of this kernel carry their types (BTF)")
    if btf is None:
        return unseen(facts, "whether this kernel has debuginfo or BTF")
    return warned(
        "this kernel has neither debuginfo installed nor BTF built in",
        facts.release,
        f"kautopsy symbols find {facts.release}",
    )
