"""What a living guest says of itself: the truth that a report on its dump is held against."""

from __future__ import annotations

from dataclasses import dataclass

PROBE = """\
uname -r; uname -v; uname -n; nproc
sed -n 's/^MemTotal: *\\([0-9]*\\).*/\\1/p' /proc/meminfo
cat /proc/loadavg /proc/uptime
cut -d' ' -f1 /proc/modules | tr '\\n' ' '
"""


@dataclass(frozen=True)
class GuestFacts:
    """Facts of one moment.

    :param memory_kib: MemTotal
    :param threads: existing, the idle tasks left out
    :param modules: loaded
    """

    release: str
    version: str
    nodename: str
    cpus: int
    memory_kib: int
    load_average: tuple[float, float, float]
    threads: int
    uptime_seconds: float
    modules: tuple[str, ...]


def parse_facts(text: str) -> GuestFacts:
    """The output of ``PROBE``."""
    release, version, nodename, cpus, memory, load, uptime, *modules = text.splitlines()
    one, five, fifteen, threads, *_ = load.split()
    return GuestFacts(
        release=release,
        version=version,
        nodename=nodename,
        cpus=int(cpus),
        memory_kib=int(memory),
        load_average=(float(one), float(five), float(fifteen)),
        threads=int(threads.split("/")[1]),
        uptime_seconds=float(uptime.split()[0]),
        modules=tuple(sorted(" ".join(modules).split())),
    )
