"""What a machine is made of, and how its boots ended, asked in one POSIX script.

How a boot ended stands in the journal (``Journal stopped`` and systemd's last targets are written
by every orderly shutdown, since systemd 38 and before), or in wtmp where the journal is not kept.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from kautopsy.fleet.grouping.sighting import Machine
from kautopsy.fleet.nouns import Ending
from kautopsy.host.host import Host
from kautopsy.model.errors import UnreadableError

SCRIPT = r"""
LC_ALL=C; TZ=UTC0; export LC_ALL TZ
say() { printf '%s=' "$1"; shift; "$@" 2>/dev/null | tr '\n' ' '; echo; }
say boot cat /proc/sys/kernel/random/boot_id
say btime awk '$1 == "btime" {print $2}' /proc/stat
say now date +%s
say kernel uname -r
say arch uname -m
say cmdline cat /proc/cmdline
say vendor cat /sys/class/dmi/id/sys_vendor
say product cat /sys/class/dmi/id/product_name
say bios cat /sys/class/dmi/id/bios_version
say biosdate cat /sys/class/dmi/id/bios_date
say model cat /sys/firmware/devicetree/base/model
for key in 'model name' 'cpu family' model stepping 'CPU part' 'CPU revision'; do
  printf 'cpu %s=' "$key"
  awk -F: -v key="$key" '{name=$1; gsub(/[ \t]+$/, "", name)}
    name == key {sub(/^ /, "", $2); print $2; exit}' /proc/cpuinfo; echo
done
say modules awk '{print $1}' /proc/modules
say livepatch ls /sys/kernel/livepatch
targets='[Rr]eached target .*([Ss]hutdown|[Rr]eboot|[Pp]ower.?[Oo]ff|[Hh]alt|Final Step)'
kernel='reboot: (Restarting|Power down|machine restart)'
orderly="Journal stopped|systemd-shutdown\[|systemd\[1\]: Shutting down|$targets|$kernel"
of_boot() { journalctl -b "$@" -o short-unix --no-pager -q 2>/dev/null; }
if command -v journalctl >/dev/null 2>&1; then
  journalctl --list-boots --no-pager -q 2>/dev/null | tail -n 30 |
  while read -r number id rest; do
    first=$(of_boot "$id" | awk '{print $1; exit}')
    end=$(of_boot "$id" -n 60)
    last=$(printf '%s\n' "$end" | awk 'END {print $1}')
    clean=0
    printf '%s\n' "$end" | grep -Eq "$orderly" && clean=1
    echo "journal=$number $id ${first:-0} ${last:-0} $clean"
  done
fi
if command -v last >/dev/null 2>&1; then
  last -x -F -n 200 reboot shutdown 2>/dev/null | sed 's/^/wtmp=/'
fi
exit 0
"""

_WTMP = re.compile(
    r"(?P<what>reboot|shutdown)\s+system (?:boot|down)\s+\S+\s+"
    r"(?:\w{3} )(?P<at>\w{3}\s+\d+ \d\d:\d\d:\d\d \d{4})"
)


@dataclass(frozen=True)
class Boot:
    """A boot as the machine itself remembers it; ``clean`` is None where nothing tells.

    :param key: the boot id without dashes; of wtmp, which has none, ``wtmp-`` and its second
    """

    key: str
    started: float
    last_seen: float
    clean: bool | None
    running: bool = False

    @property
    def ending(self) -> Ending:
        """As far as the machine can tell: whether it left a crash is another question."""
        if self.running:
            return Ending.RUNNING
        if self.clean is None:
            return Ending.UNKNOWN
        return Ending.CLEAN if self.clean else Ending.SILENT


@dataclass(frozen=True)
class Identity:
    """A machine: its kernel, what it is made of, its modules, its boots, the oldest first."""

    release: str
    arch: str
    now: float
    machine: Machine
    modules: tuple[str, ...]
    boots: tuple[Boot, ...]


def identify(host: Host) -> Identity:
    """Ask ``host``.

    :raises UnreachableError: it does not answer
    :raises UnreadableError: it answers with something else
    """
    done = host.script(SCRIPT, timeout=120.0)
    return parse(done.text, host.name)


def parse(text: str, name: str = "") -> Identity:
    """The answer to :data:`SCRIPT`.

    :raises UnreadableError: it is none
    """
    said: dict[str, str] = {}
    journal: list[str] = []
    wtmp: list[str] = []
    for line in text.splitlines():
        key, mark, value = line.partition("=")
        if not mark:
            continue
        if key == "journal":
            journal.append(value)
        elif key == "wtmp":
            wtmp.append(value)
        else:
            said.setdefault(key, value.strip("\0 \t"))
    try:
        now = float(said["now"])
        booted = float(said.get("btime") or 0.0)
    except (KeyError, ValueError):
        raise UnreadableError("does not say who it is", thing=name, slug="no-identity") from None
    current = said.get("boot", "").replace("-", "")
    boots = _journal_boots(journal, current)
    if len(boots) < 2:
        boots = [*_wtmp_boots(wtmp, booted), *boots]
    if not any(boot.running for boot in boots):
        boots.append(Boot(current or f"wtmp-{booted:.0f}", booted, now, None, running=True))
    return Identity(
        release=said.get("kernel", ""),
        arch=said.get("arch", ""),
        now=now,
        machine=Machine(
            model=" ".join(filter(None, (said.get("vendor"), said.get("product"))))
            or said.get("model", ""),
            firmware=" ".join(filter(None, (said.get("bios"), said.get("biosdate")))),
            cpu=_cpu(said),
            cmdline=tuple(said.get("cmdline", "").split()),
            livepatches=tuple(said.get("livepatch", "").split()),
        ),
        modules=tuple(sorted(said.get("modules", "").split())),
        boots=tuple(sorted(boots, key=lambda boot: boot.started)),
    )


def _cpu(said: dict[str, str]) -> str:
    """As the kernel prints it at boot: "NAME (family: 0x6, model: 0x6a, stepping: 0x6)"."""
    name = said.get("cpu model name", "")
    try:
        family, model, stepping = (
            int(said[f"cpu {key}"]) for key in ("cpu family", "model", "stepping")
        )
    except (KeyError, ValueError):
        part, revision = said.get("cpu CPU part", ""), said.get("cpu CPU revision", "")
        return f"part {part} revision {revision}" if part else name
    return f"{name} (family: {family:#x}, model: {model:#x}, stepping: {stepping:#x})"


def _journal_boots(lines: list[str], current: str) -> list[Boot]:
    found = []
    for line in lines:
        words = line.split()
        if len(words) != 5 or not re.fullmatch(r"[0-9a-f]{32}", words[1]):
            continue
        try:
            first, last = float(words[2]), float(words[3])
        except ValueError:
            continue
        running = words[1] == current
        found.append(Boot(words[1], first, last, words[4] == "1", running))
    return found


def _wtmp_boots(lines: list[str], booted: float) -> list[Boot]:
    """Boots that wtmp tells of and that are over, the current one left out."""
    from kautopsy.fleet.intake.clock import seconds_of

    events = []
    for line in lines:
        match = _WTMP.match(line)
        if match is not None:
            words = match["at"].split()
            at = seconds_of(f"{words[3]} {words[0]} {words[1]} {words[2]}", 0.0)
            if at is not None:
                events.append((at, match["what"]))
    events.sort()
    found = []
    for number, (at, what) in enumerate(events):
        if what != "reboot" or abs(at - booted) < 120:
            continue
        later = events[number + 1 :]
        if not later:
            continue
        clean = later[0][1] == "shutdown"
        found.append(Boot(f"wtmp-{at:.0f}", at, later[0][0] if clean else at, clean))
    return found
