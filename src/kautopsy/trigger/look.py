"""What a living machine says of itself: who it is, and how its kernel would take a trigger."""

from __future__ import annotations

from dataclasses import dataclass

from kautopsy.host.host import Host
from kautopsy.model.errors import UnreachableError, UnreadableError

# POSIX sh. One line a fact; a value is cut to one line, so that none can look like another fact.
_LOOK = r"""
PATH=$PATH:/usr/sbin:/sbin
one() { printf '%s %s\n' "$1" "$(printf %s "$2" | tr -d '\r' | head -n 1)"; }
file() { [ -r "$2" ] && one "$1" "$(cat "$2" 2>/dev/null)"; }
one begin 1
one node "$(uname -n)"
one machine "$(uname -m)"
one release "$(uname -r)"
one clock "$(date +%s)"
one uid "$(id -u)"
file boot_id /proc/sys/kernel/random/boot_id
file uptime /proc/uptime
for name in sysrq unknown_nmi_panic panic_on_unrecovered_nmi panic_on_io_nmi panic; do
    file "$name" "/proc/sys/kernel/$name"
done
file loaded /sys/kernel/kexec_crash_loaded
file serial /sys/class/dmi/id/product_serial
file uuid /sys/class/dmi/id/product_uuid
file asset /sys/class/dmi/id/board_asset_tag
[ -d /sys/module/hpwdt ] && one hpwdt 1
[ -e /proc/sysrq-trigger ] && one sysrq_trigger 1
[ -e /proc/vmcore ] && one vmcore 1
one end 1
"""
# What boards say whose maker left the field as it was (DMI type 1 and 2).
_NO_SERIAL = frozenset(
    {
        "",
        "0",
        "none",
        "n/a",
        "na",
        "not specified",
        "not available",
        "not applicable",
        "unknown",
        "default string",
        "to be filled by o.e.m.",
        "system serial number",
        "serial number",
        "0123456789",
        "123456789",
        "1234567890",
        "xxxxxxxxxx",
    }
)
_NO_UUIDS = frozenset(
    {
        "",
        "00000000-0000-0000-0000-000000000000",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
        "03000200-0400-0500-0006-000700080009",
    }
)


@dataclass(frozen=True)
class Look:
    """One look at a machine; None is what it does not say, or not to us.

    :param clock: its seconds since 1970
    :param loaded: a capture kernel is loaded
    :param serial: of the system (DMI type 1); None where its maker left it blank
    :param hpwdt: HPE's watchdog driver is loaded
    :param capturing: it is the capture kernel that answers
    """

    node: str
    machine: str
    release: str
    clock: int | None
    root: bool
    boot_id: str | None
    uptime: float | None
    sysrq: int | None
    unknown_nmi_panic: bool | None
    panic_on_unrecovered_nmi: bool | None
    panic_on_io_nmi: bool | None
    panic_timeout: int | None
    loaded: bool | None
    serial: str | None
    uuid: str | None
    asset: str | None
    hpwdt: bool
    sysrq_trigger: bool
    capturing: bool

    @property
    def x86(self) -> bool:
        """unknown_nmi_panic and what goes with it are x86's."""
        return self.machine in ("x86_64", "i686", "i586", "i386")


def look_at(host: Host, *, timeout: float = 30.0) -> Look:
    """Look once.

    :raises UnreachableError: it does not answer
    :raises UnreadableError: it answers something else
    """
    done = host.script(_LOOK, timeout=timeout)
    said = dict(line.split(" ", 1) for line in done.text.splitlines() if " " in line)
    if "begin" not in said or "end" not in said or not said.get("node", "").strip():
        raise UnreadableError(
            f"does not say who it is: {done.complaint}",
            thing=host.name,
            slug="no-answer",
            hint="its login shell must run sh and print nothing of its own",
        )
    return Look(
        node=said["node"].strip(),
        machine=said.get("machine", "").strip(),
        release=said.get("release", "").strip(),
        clock=_number(said.get("clock")),
        root=said.get("uid", "").strip() == "0",
        boot_id=said.get("boot_id", "").strip() or None,
        uptime=_seconds(said.get("uptime")),
        sysrq=_number(said.get("sysrq")),
        unknown_nmi_panic=_flag(said.get("unknown_nmi_panic")),
        panic_on_unrecovered_nmi=_flag(said.get("panic_on_unrecovered_nmi")),
        panic_on_io_nmi=_flag(said.get("panic_on_io_nmi")),
        panic_timeout=_number(said.get("panic")),
        loaded=_flag(said.get("loaded")),
        serial=clean_serial(said.get("serial")),
        uuid=clean_uuid(said.get("uuid")),
        asset=clean_serial(said.get("asset")),
        hpwdt="hpwdt" in said,
        sysrq_trigger="sysrq_trigger" in said,
        capturing="vmcore" in said,
    )


def try_to_look(host: Host, *, timeout: float = 30.0) -> Look | UnreachableError | UnreadableError:
    """As :func:`look_at`, but that it does not answer is an answer."""
    try:
        return look_at(host, timeout=timeout)
    except (UnreachableError, UnreadableError) as error:
        return error


def clean_serial(text: str | None) -> str | None:
    """A serial number that names one machine, or None."""
    text = (text or "").strip()
    return None if text.lower() in _NO_SERIAL else text


def clean_uuid(text: str | None) -> str | None:
    """A UUID that names one machine, lower case, or None."""
    text = (text or "").strip().lower()
    return None if text in _NO_UUIDS else text


def same_uuid(one: str, other: str) -> bool:
    """Whether two UUIDs are one: SMBIOS before 2.6 and some BMCs swap the first three groups."""
    a, b = one.lower().replace("-", ""), other.lower().replace("-", "")
    if a == b:
        return True
    if len(a) != 32 or len(b) != 32:
        return False
    swapped = "".join(
        "".join(reversed([group[i : i + 2] for i in range(0, len(group), 2)]))
        for group in (a[:8], a[8:12], a[12:16])
    )
    # IPMI's own byte order (20.8, Get Device GUID) is the whole of it backwards.
    backwards = "".join(reversed([a[i : i + 2] for i in range(0, 32, 2)]))
    return b in (swapped + a[16:], backwards)


def _number(text: str | None) -> int | None:
    text = (text or "").strip()
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdecimal() and len(digits) < 19 else None


def _flag(text: str | None) -> bool | None:
    number = _number(text)
    return None if number is None else number != 0


def _seconds(text: str | None) -> float | None:
    try:
        return float((text or "").split()[0])
    except (ValueError, IndexError):
        return None
