"""``log``: the kernel's message buffer."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator

from drgn import Object
from drgn.helpers.linux.cpumask import for_each_possible_cpu
from drgn.helpers.linux.percpu import per_cpu
from drgn.helpers.linux.printk import get_printk_records
from drgn.helpers.linux.timekeeping import ktime_get_boottime_seconds, ktime_get_real_seconds

from kautopsy.kernel.reading import READ_ERRORS, text
from kautopsy.shell.errors import CommandError
from kautopsy.shell.registry import Lines, command, flag
from kautopsy.shell.session import Session

_MOST_SKBS = 10_000


@command(
    "log",
    "dump system message buffer",
    usage="[-t | -T] [-d] [-m] [-a] [-s] [-c] [-R]",
    arguments=(
        flag("-T", "timestamps in human readable form", dest="human"),
        flag("-t", "no timestamps", dest="plain"),
        flag("-d", "the dictionary of each record (SUBSYSTEM, DEVICE)", dest="dictionary"),
        flag("-m", "the log level of each record", dest="level"),
        flag("-a", "audit records that were not yet handed over", dest="audit"),
        flag("-s", "the buffers of printk in NMI context (4.10 to 5.14)", dest="safe"),
        flag("-c", "who printed: a thread's id, or a CPU (CONFIG_PRINTK_CALLER)", dest="caller"),
        flag("-R", "no time, level or caller (as -t)", dest="raw"),
    ),
    drgn='''
    from drgn.helpers.linux.printk import get_dmesg
    print(get_dmesg().decode())
    ''',
)  # fmt: skip
def log(session: Session, arguments: argparse.Namespace) -> Lines:
    """The kernel log, oldest first. What was overwritten in the ring is gone."""
    if arguments.audit:
        return _audit(session)
    if arguments.safe:
        return _safe_buffers(session)
    return _records(session, arguments)


def _records(session: Session, arguments: argparse.Namespace) -> Iterator[str]:
    try:
        records = get_printk_records(session.program)
    except READ_ERRORS as error:
        raise CommandError(f"the log cannot be read: {error}") from error
    booted = _boot(session) if arguments.human else 0.0
    for record in records:
        stamp = _stamp(record.timestamp, booted, arguments)
        caller = ""
        if arguments.caller:
            tid, cpu = record.caller_tid, record.caller_cpu
            name = f"T{tid}" if tid is not None else f"C{cpu}" if cpu is not None else ""
            caller = f"[{name:>6}] " if name else ""
        level = f"<{record.level}>" if arguments.level else ""
        lead = f"{stamp}{caller}{level}"
        # A record of several lines: those that follow stand under the first, as dmesg shows them.
        lines = text(record.text).split("\n")
        yield lead + lines[0]
        yield from (" " * len(stamp) + line for line in lines[1:])
        if arguments.dictionary:
            for key, value in record.context.items():
                yield f"{' ' * len(stamp)}{text(key)}={text(value)}"


def _stamp(time: int, booted: float, arguments: argparse.Namespace) -> str:
    import datetime

    if arguments.plain or arguments.raw:
        return ""
    if arguments.human:
        moment = datetime.datetime.fromtimestamp(booted + time / 1e9, datetime.UTC).astimezone()
        return f"[{moment.strftime('%a %b %d %H:%M:%S %Z %Y')}] "
    return f"[{time // 10**9:5d}.{time % 10**9 // 1000:06d}] "


def _boot(session: Session) -> float:
    program = session.program
    try:
        return float(ktime_get_real_seconds(program)) - float(ktime_get_boottime_seconds(program))
    except READ_ERRORS as error:
        raise CommandError(f"the time of boot is not known: {error}") from error


def _audit(session: Session) -> Iterator[str]:
    """``audit_queue`` and its kin: sk_buffs whose data are netlink messages (kernel/audit.c)."""
    session.need_types("log -a")
    found = False
    for name in ("audit_queue", "audit_retry_queue", "audit_hold_queue", "audit_skb_queue",
                 "audit_skb_hold_queue"):  # fmt: skip
        try:
            symbol = session.program.symbol(name)
        except LookupError:
            continue
        queue = Object(session.program, "struct sk_buff_head", address=symbol.address)
        skb = queue.next
        for _ in range(_MOST_SKBS):
            if int(skb) == symbol.address or not skb:
                break
            found = True
            raw = session.program.read(int(skb.data), int(skb.len))
            kind = int.from_bytes(raw[4:6], "little")
            yield f"type={kind} {text(raw[16:]).rstrip(chr(0))}"
            skb = skb.next.read_()
    if not found:
        yield "log: kernel audit log is empty"


def _safe_buffers(session: Session) -> Iterator[str]:
    """``nmi_print_seq`` and ``safe_print_seq``, gone since 5.15 (93d102f094be)."""
    program = session.program
    present = False
    for name in ("nmi_print_seq", "safe_print_seq"):
        try:
            program.symbol(name)
            variable = program[name]
        except LookupError:
            continue
        present = True
        yield f"PRINTK_SAFE_SEQ_BUF: {name}"
        for cpu in for_each_possible_cpu(program):
            buffer = per_cpu(variable, cpu)
            length = int(buffer.len.counter)
            raw = program.read(int(buffer.buffer.address_ or 0), length) if length else b""
            yield f"  CPU: {cpu}  ADDR: {buffer.address_:x} LEN: {length}  MESSAGE_LOST: "\
                  f"{int(buffer.message_lost.counter)}"  # fmt: skip
            yield from (f"  {line}" for line in re.split(r"\n", text(raw).rstrip("\n")) if line)
            if not length:
                yield "    (empty)"
    if not present:
        raise CommandError("this kernel has no such buffers (they were there from 4.10 to 5.14)")
