"""``lab:NAME`` as a TARGET: the machine that ``lab run NAME`` keeps, or one of one's own."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from kautopsy.host import inventory
from kautopsy.lab.bmc.simulator import BmcConfig, installed
from kautopsy.lab.cache import lab_cache
from kautopsy.lab.machines.image import fetch_image
from kautopsy.lab.machines.machine import Machine, MachineConfig
from kautopsy.lab.machines.release import find_release
from kautopsy.model.errors import UsageError

PREFIX = "lab:"


@contextlib.contextmanager
def lab_machine(target: str) -> Iterator[inventory.Machine]:
    """The machine that ``lab:NAME`` stands for, up and settled.

    The one that ``lab run NAME`` keeps in another terminal; else one is booted, with a BMC where
    ipmi_sim is installed, and thrown away with all that was done to it when the block ends.

    :raises UsageError: the lab knows no such machine
    :raises KautopsyError: it cannot be made, or was lost
    """
    name = target.removeprefix(PREFIX)
    find_release(name)
    if (entry := running_machine(name)) is not None:
        yield entry
        return
    with Machine(MachineConfig(fetch_image(name), bmc=default_bmc())) as machine:
        machine.boot()
        machine.wait_until_up()
        yield machine.entry()


def default_bmc() -> BmcConfig | None:
    """A BMC if one can be had here."""
    return BmcConfig() if installed() else None


def running_machine(name: str) -> inventory.Machine | None:
    """The entry of the machine that somebody keeps running under ``name``."""
    path = _path(name)
    try:
        with path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return msgspec.json.decode(file.read(), type=inventory.Machine)
    except FileNotFoundError:
        return None
    # Whoever wrote it was killed.
    return None


@contextlib.contextmanager
def kept(machine: Machine) -> Iterator[None]:
    """Let ``lab:NAME`` mean ``machine`` while the block runs.

    :raises UsageError: one of that name is running
    """
    path = _path(machine.name)
    path.parent.mkdir(exist_ok=True)
    with path.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                "is running already", thing=f"{PREFIX}{machine.name}", slug="machine-running"
            ) from None
        file.truncate(0)
        file.write(msgspec.json.encode(machine.entry()))
        file.flush()
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                os.unlink(path)  # noqa: PTH108


def _path(name: str) -> Path:
    return lab_cache() / "running" / f"{name}.json"
