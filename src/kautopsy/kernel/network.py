"""Network devices: state and traffic."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import msgspec
from drgn import Object, Program
from drgn.helpers.linux.net import for_each_net, for_each_netdev, netdev_ipv4_addrs

from kautopsy.kernel.reading import readable, text
from kautopsy.kernel.table import Column, table
from kautopsy.model.base import Unreadable

_IFF_UP = 1
_NOCARRIER = 1 << 2  # __LINK_STATE_NOCARRIER, a bit of net_device.state


class NetDevice(msgspec.Struct, frozen=True):
    """One network device."""

    name: Annotated[str, Column("in its namespace")]
    namespace: Annotated[int | Unreadable, Column("inode of the network namespace")]
    index: Annotated[int | Unreadable, Column("ifindex")]
    mtu: Annotated[int | Unreadable, Column("largest packet", unit="bytes")]
    up: Annotated[bool | Unreadable, Column("it was switched on")]
    carrier: Annotated[bool | Unreadable, Column("it has a link")]
    addresses: Annotated[str | Unreadable, Column("IPv4, comma-separated")]
    queues: Annotated[int | Unreadable, Column("transmit queues in use")]


@table
def net_devices(program: Program) -> Iterator[NetDevice]:
    """Network devices of all namespaces."""
    for net in for_each_net(program):
        namespace = _inode(net)
        for device in for_each_netdev(net):
            yield _row(device, namespace)


def _inode(net: Object) -> int | Unreadable:
    return readable(lambda: int(net.ns.inum))


def _row(device: Object, namespace: int | Unreadable) -> NetDevice:
    return NetDevice(
        name=text(device.name.string_()),
        namespace=namespace,
        index=readable(lambda: int(device.ifindex)),
        mtu=readable(lambda: int(device.mtu)),
        up=readable(lambda: bool(int(device.flags) & _IFF_UP)),
        carrier=readable(lambda: not int(device.state) & _NOCARRIER),
        addresses=readable(lambda: ", ".join(str(ip) for ip in netdev_ipv4_addrs(device))),
        queues=readable(lambda: int(device.real_num_tx_queues)),
    )
