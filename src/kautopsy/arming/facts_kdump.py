"""What the answer tells of the distribution's kdump: service, capture image, target."""

from __future__ import annotations

import re

from kautopsy.arming.answers import Answers, to_int
from kautopsy.model.host import ImageFacts, ServiceFacts, TargetFacts, TargetKind

_UNIT_FOLDERS = ("/usr/lib/systemd/system", "/lib/systemd/system", "/etc/systemd/system")
_INIT_FOLDERS = ("/etc/init.d", "/etc/rc.d/init.d")
# The shell adds the signal's number: the probe kills what hangs.
_KILLED = 128
_DEBIAN_LINK = "/var/lib/kdump/initrd.img"
_RAW = re.compile(r"^\s*raw\s+(\S+)", re.MULTILINE)


def service(answers: Answers, units: tuple[str, ...], *, live: bool) -> ServiceFacts | None:
    """The family's service, or whichever kdump has one; None where the family has none."""
    found = [_service(answers, unit, live=live) for unit in units or ("kdump", "kdump-tools")]
    installed = [s for s in found if s.installed or s.masked]
    if installed:
        return next((s for s in installed if s.enabled), installed[0])
    return found[0] if units else None


def _service(answers: Answers, unit: str, *, live: bool) -> ServiceFacts:
    shown = _shown(answers, f"{unit}.service")
    if shown:
        enabled = {"enabled": True, "enabled-runtime": True, "disabled": False}.get(
            shown.get("UnitFileState", "")
        )
        state = shown.get("LoadState", "")
        return ServiceFacts(
            unit=unit,
            installed=state in ("loaded", "masked"),
            enabled=False if state == "masked" else enabled,
            active=shown.get("ActiveState") == "active",
            masked=state == "masked",
            result=shown.get("Result", ""),
        )
    masked = answers.links.get(f"/etc/systemd/system/{unit}.service") == "/dev/null"
    systemd = any(f"{folder}/{unit}.service" in answers.stats for folder in _UNIT_FOLDERS)
    wanted = any(p.endswith(f".wants/{unit}.service") for p in answers.links)
    if systemd or masked or wanted:
        return ServiceFacts(
            unit=unit, installed=systemd, enabled=wanted and not masked, masked=masked
        )
    script = any(f"{folder}/{unit}" in answers.stats for folder in _INIT_FOLDERS)
    links = answers.said.get("rc-links")
    started = bool(links and any(unit in line for line in links.lines)) or any(
        re.search(rf"/rc3?\.?d?/?.*S\d+{re.escape(unit)}$", path) for path in answers.stats
    )
    return ServiceFacts(unit=unit, installed=script, enabled=started if script else None)


def _shown(answers: Answers, name: str) -> dict[str, str]:
    """Of ``systemctl show``: the block of a unit; none where it knows of no such unit."""
    said = answers.said.get("units")
    for block in re.split(r"\n\s*\n", said.text if said and said.status == 0 else ""):
        pairs = dict(re.findall(r"^(\w+)=(.*)$", block, re.MULTILINE))
        if pairs.get("Id") == name and pairs.get("LoadState") != "not-found":
            return pairs
    return {}


def image(answers: Answers, inputs: tuple[str, ...]) -> ImageFacts:
    """The capture initrd."""
    path = answers.line("image")
    initrd = answers.stats.get(path)
    # Debian loads what its link points to; one that dangles is not made good by another file.
    dangling = _DEBIAN_LINK in answers.links and _DEBIAN_LINK not in answers.stats
    if initrd is None or dangling:
        return ImageFacts(link=answers.links.get(_DEBIAN_LINK))
    release = answers.line("kernel")
    kernel = (f"/boot/vmlinuz-{release}", f"/lib/modules/{release}/vmlinuz")
    newer = tuple(
        name
        for name in (*inputs, *kernel)
        if name in answers.stats and answers.stats[name].mtime > initrd.mtime
    )
    said = answers.said.get("image-modules")
    modules = None
    if said is not None and said.status == 0 and said.lines:
        modules = tuple(line.strip().replace("-", "_") for line in said.lines)
    return ImageFacts(
        initrd=initrd,
        newer=newer,
        link=answers.links.get(path),
        modules=modules,
        module_bytes=_module_bytes(answers, modules or ()),
        mount=_built_for(answers),
    )


def _module_bytes(answers: Answers, names: tuple[str, ...]) -> int:
    wanted, total = set(names), 0
    for line in answers.files.get("/proc/modules", "").splitlines():
        words = line.split()
        if len(words) > 1 and words[0] in wanted:
            total += to_int(words[1]) or 0
    return total


def _built_for(answers: Answers) -> str | None:
    """The device that dracut was told to mount when it built the image."""
    said = answers.said.get("dracut-build")
    match = re.search(r"--mount '?(\S+)", said.text if said and said.status == 0 else "")
    return match[1].strip("'\"") if match else None


def target(answers: Answers) -> TargetFacts:
    """Where dumps go."""
    path = answers.line("target-path")
    if nfs := answers.line("target-nfs"):
        server, _, export = nfs.partition(":")
        return _remote(answers, TargetKind.NFS, server, f"{export}{path}", "target-port")
    if ssh := answers.line("target-ssh"):
        return _remote(answers, TargetKind.SSH, ssh, path, "target-login")
    if raw := _RAW.search(answers.files.get("/etc/kdump.conf", "")):
        return TargetFacts(kind=TargetKind.RAW, path="", device=raw[1])
    return _local(answers, path or "/var/crash")


def _remote(answers: Answers, kind: TargetKind, server: str, path: str, name: str) -> TargetFacts:
    said = answers.said.get(name)
    usable = None if said is None or said.status in (126, 127) else said.status == 0
    network = answers.said.get("target-network")
    told: dict[str, list[str]] = {}
    for line in network.lines if network else ():
        key, _, word = line.partition(" ")
        told.setdefault(key, []).append(word)
    free = _df(answers, name)[1] if kind is TargetKind.SSH else None
    return TargetFacts(
        kind=kind,
        path=path,
        server=server,
        usable=usable,
        trouble="" if usable or said is None else (said.lines or ["no answer"])[-1].strip(),
        free=None if free is None else free << 10,
        drivers=tuple(told["driver"]) if "driver" in told else None,
        interface=(told.get("interface") or [""])[0],
        interface_kinds=tuple(told.get("kind", ())),
    )


def _local(answers: Answers, path: str) -> TargetFacts:
    device, free, mounted = _df(answers, "target-space")
    _, inodes, _ = _df(answers, "target-inodes")
    mount = _mount(answers, mounted)
    usable, trouble = _usable(answers, mounted, read_only="ro" in mount[1])
    said = answers.said.get("target-drivers")
    stack = answers.said.get("target-stack")
    label = answers.said.get("target-label")
    dumps = answers.said.get("target-dumps")
    return TargetFacts(
        kind=TargetKind.LOCAL,
        path=path,
        device=device,
        mounted_on=mounted,
        filesystem=mount[0],
        free=None if free is None else free << 10,
        free_inodes=inodes,
        usable=usable,
        trouble=trouble,
        drivers=tuple(sorted({line.replace("-", "_") for line in said.lines}))
        if said and said.status == 0
        else None,
        encrypted=any("crypt" in line for line in stack.lines)
        if stack and stack.status == 0
        else None,
        label=label.lines[0].split()[0] if label and label.status == 0 and label.lines else "",
        dumps=tuple(dumps.lines) if dumps else (),
    )


def _usable(answers: Answers, mounted: str, *, read_only: bool) -> tuple[bool | None, str]:
    """Whether a directory can be written, and why not."""
    space = answers.said.get("target-space")
    if space is None:
        return None, ""
    if space.status > _KILLED:
        return False, "does not answer: is it on a server that is gone?"
    if space.status:
        return False, "does not exist"
    if read_only:
        return False, f"{mounted} is mounted read-only"
    writable = answers.said.get("target-writable")
    if writable is None or writable.status:
        return False, "cannot be written"
    return True, ""


def _df(answers: Answers, name: str) -> tuple[str, int | None, str]:
    """Device, what is free, and where it is mounted, of ``df -P``'s last line."""
    said = answers.said.get(name)
    if said is None or said.status or not said.lines:
        return "", None, ""
    words = said.lines[-1].split(None, 5)
    return (words[0], to_int(words[3]), words[5]) if len(words) == 6 else ("", None, "")


def _mount(answers: Answers, mounted: str) -> tuple[str, list[str]]:
    """The file system and the options of what is mounted there last."""
    found: tuple[str, list[str]] = ("", [])
    for line in answers.files.get("/proc/mounts", "").splitlines():
        words = line.split()
        if len(words) >= 4 and words[1] == mounted and words[2] != "rootfs":
            found = (words[2], words[3].split(","))
    return found
