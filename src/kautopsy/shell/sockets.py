"""Open sockets of a task, and what they are connected to."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from drgn import Object, cast
from drgn.helpers.linux.fs import for_each_file
from drgn.helpers.linux.net import SOCKET_I

from kautopsy.kernel.reading import READ_ERRORS

_S_IFMT, _S_IFSOCK = 0o170000, 0o140000
# include/linux/socket.h
FAMILIES = {0: "UNSPEC", 1: "UNIX", 2: "INET", 3: "AX25", 4: "IPX", 5: "APPLETALK", 6: "NETROM",
            7: "BRIDGE", 8: "ATMPVC", 9: "X25", 10: "INET6", 15: "KEY", 16: "NETLINK",
            17: "PACKET", 21: "RDS", 29: "CAN", 30: "TIPC", 31: "BLUETOOTH", 38: "ALG", 39: "NFC",
            40: "VSOCK", 41: "KCM", 42: "QIPCRTR", 43: "SMC", 44: "XDP", 45: "MCTP"}  # fmt: skip
TYPES = {1: "STREAM", 2: "DGRAM", 3: "RAW", 4: "RDM", 5: "SEQPACKET", 6: "DCCP", 10: "PACKET"}


@dataclass(frozen=True)
class OpenSocket:
    """One descriptor that is a socket.

    :param socket: ``struct socket *``
    :param sock: ``struct sock *``, may be NULL
    :param source: ``10.1.8.20-1023`` for Internet sockets, else ''
    """

    fd: int
    socket: Object
    sock: Object
    family: str
    type: str
    source: str = ""
    destination: str = ""


def sockets(task: Object) -> Iterator[OpenSocket]:
    """The sockets among a task's descriptors; what the dump lacks is left out.

    :param task: ``struct task_struct *``
    """
    try:
        for fd, file in for_each_file(task):
            try:
                inode = file.f_path.dentry.d_inode
                if int(inode.i_mode) & _S_IFMT == _S_IFSOCK:
                    yield _socket(fd, SOCKET_I(inode).read_())
            except READ_ERRORS:
                continue
    except READ_ERRORS:
        return


def _socket(fd: int, socket: Object) -> OpenSocket:
    sock = socket.sk.read_()
    number = int(socket.type)
    kind = TYPES.get(number, str(number))
    if not sock:
        return OpenSocket(fd, socket, sock, "?", kind)
    family = int(sock.member_("__sk_common").skc_family)
    source = destination = ""
    if family in (2, 10):
        source, destination = _ends(sock, family)
    return OpenSocket(
        fd, socket, sock, FAMILIES.get(family, str(family)), kind, source, destination
    )


def _ends(sock: Object, family: int) -> tuple[str, str]:
    common = sock.member_("__sk_common")
    inet = cast("struct inet_sock *", sock)
    here, there = int(inet.inet_sport), int(common.skc_dport)
    if family == 2:
        ends = [
            str(ipaddress.IPv4Address(struct.pack("<I", int(address))))
            for address in (common.skc_rcv_saddr, common.skc_daddr)
        ]
    else:
        ends = [
            _long(bytes(int(byte) for byte in address.in6_u.u6_addr8))
            for address in (common.skc_v6_rcv_saddr, common.skc_v6_daddr)
        ]
    return f"{ends[0]}-{_port(here)}", f"{ends[1]}-{_port(there)}"


def _long(address: bytes) -> str:
    """IPv6 with all its zeros, as crash writes it."""
    return ":".join(f"{group:x}" for group in struct.unpack(">8H", address))


def _port(raw: int) -> int:
    """A port in network byte order."""
    return int.from_bytes(raw.to_bytes(2, "little"), "big")
