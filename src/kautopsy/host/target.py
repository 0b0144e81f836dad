"""What a user may write for a machine, and the machine that is meant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from kautopsy.host.host import Host
from kautopsy.host.local import LocalHost
from kautopsy.host.ssh import SshHost
from kautopsy.host.tree import TreeHost


@contextmanager
def open_host(
    target: str, *, jump: str | None = None, options: Sequence[str] = ()
) -> Iterator[Host]:
    """``local``, ``tree:DIR`` or ``[user@]host``; nothing is connected before it is used.

    :param jump: jump hosts, as ``ssh -J`` takes them
    :param options: for ``ssh -o``
    :raises UsageError: it names no machine
    """
    if target == "local":
        yield LocalHost()
    elif target.startswith("tree:"):
        yield TreeHost(Path(target.removeprefix("tree:")))
    else:
        with SshHost(target, jump=jump, options=options) as host:
            yield host
