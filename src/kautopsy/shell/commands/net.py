"""``net``: network devices, neighbours, sockets."""

from __future__ import annotations

import argparse
import ipaddress
from collections.abc import Iterator

from drgn import Object
from drgn.helpers.linux.net import (
    for_each_netdev,
    netdev_ipv4_addrs,
    netdev_ipv6_addrs,
    netdev_name,
)

from kautopsy.kernel.reading import READ_ERRORS, text
from kautopsy.shell.context import header, pid_or_task
from kautopsy.shell.delegate import delegate
from kautopsy.shell.errors import BadArgumentsError, CommandError
from kautopsy.shell.registry import Lines, PerTask, argument, command, flag
from kautopsy.shell.session import Session
from kautopsy.shell.sockets import OpenSocket, sockets
from kautopsy.shell.structures import Wanted, shown


@command(
    "net",
    "network command",
    usage="[[-s | -S] [-xd] [-R ref] [pid | task]] [-a] [-n [pid | task]] [-N addr]",
    arguments=(
        flag("-s", "open sockets: addresses, family, type, ends", dest="sockets"),
        flag("-S", "open sockets, and their structures", dest="structures"),
        argument("-R", dest="reference", help="with -s or -S: only this socket, sock or fd"),
        flag("-a", "the ARP cache", dest="neighbours"),
        flag("-n", "the network namespace of the current task, or of the one named",
             dest="namespace"),
        argument("-N", dest="number", metavar="addr", help="an IPv4 address in dotted notation"),
        flag("-x", "hexadecimal", dest="hexadecimal"),
        flag("-d", "decimal", dest="decimal"),
        argument("tasks", nargs="*", metavar="pid|task"),
    ),
    per_task=PerTask.CONTEXT,
    table=True,
    drgn="""
    from drgn.helpers.linux.net import for_each_netdev, netdev_ipv4_addrs, netdev_name
    for dev in for_each_netdev(prog["init_net"].address_of_()):
        print(netdev_name(dev), netdev_ipv4_addrs(dev))
    """,
)  # fmt: skip
def net(session: Session, arguments: argparse.Namespace) -> Lines:
    """The network devices and their addresses, or what an option names."""
    if arguments.number is not None:
        yield _dotted(arguments.number)
        return
    session.need_types("net")
    if arguments.neighbours:
        yield from delegate(session, "net", "-a")
        return
    tasks = [pid_or_task(session, word) for word in arguments.tasks] or [session.context]
    if arguments.sockets or arguments.structures:
        for number, task in enumerate(tasks):
            if number:
                yield ""
            yield from _sockets(session, task, arguments)
        return
    if arguments.tasks and not arguments.namespace:
        raise BadArgumentsError("a task goes with -s, -S or -n", thing=" ".join(arguments.tasks))
    namespace = (
        tasks[0].nsproxy.net_ns.read_()
        if arguments.namespace
        else session.program["init_net"].address_of_()
    )
    yield from _devices(namespace)


def _dotted(word: str) -> str:
    """The number as it stands in memory: the first octet is the lowest byte."""
    try:
        number = int(word, 16) if word.startswith("0x") or not word.isdigit() else int(word)
        return str(ipaddress.IPv4Address(number.to_bytes(4, "little")))
    except (ValueError, OverflowError):
        raise BadArgumentsError("an IPv4 address is a number of 32 bits", thing=word) from None


def _devices(namespace: Object) -> Iterator[str]:
    rows: list[tuple[int, str, str]] = []
    try:
        for device in for_each_netdev(namespace):
            rows.append((device.value_(), text(netdev_name(device)), _addresses(device)))
    except READ_ERRORS as error:
        raise CommandError(f"the devices cannot be listed: {error}") from error
    width = max([4, *(len(name) for _address, name, _ips in rows)])
    yield f"   NET_DEVICE     {'NAME':<{width}}   IP ADDRESS(ES)"
    for address, name, ips in rows:
        yield f"{address:016x}  {name:<{width}}   {ips}".rstrip()


def _addresses(device: Object) -> str:
    try:
        found = [str(one) for one in netdev_ipv4_addrs(device)]
        found += [str(one) for one in netdev_ipv6_addrs(device)]
    except READ_ERRORS:
        return "(unreadable)"
    return ", ".join(found)


def _sockets(session: Session, task: Object, arguments: argparse.Namespace) -> Iterator[str]:
    found = list(sockets(task))
    if arguments.reference:
        found = [one for one in found if _refers(one, arguments.reference)]
        if not found:
            return
    yield header(task)
    if not found:
        yield "No open sockets."
        return
    radix = session.base(hexadecimal=arguments.hexadecimal, decimal=arguments.decimal)
    if not arguments.structures:
        yield ("FD       SOCKET            SOCK       FAMILY:TYPE SOURCE-PORT DESTINATION-PORT")
    for one in found:
        lead = f"{one.fd:>2} {one.socket.value_():016x} {one.sock.value_():016x}"
        if not arguments.structures:
            kind = f"{one.family}:{one.type}"
            yield f"{lead} {kind:<11} {one.source} {one.destination}".rstrip()
            continue
        yield "FD       SOCKET            SOCK"
        yield lead
        yield ""
        yield from shown(session.program, Wanted("socket"), one.socket.value_(), radix=radix)
        if one.sock:
            kind = "inet_sock" if one.family in ("INET", "INET6") else "sock"
            yield from shown(session.program, Wanted(kind), one.sock.value_(), radix=radix)
        yield ""


def _refers(one: OpenSocket, reference: str) -> bool:
    if reference.isdigit() and int(reference) == one.fd:
        return True
    bare = reference.removeprefix("0x").lower()
    return bare in (f"{one.socket.value_():x}", f"{one.sock.value_():x}")
