"""What the lab knows and what it has in its cache."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from kautopsy.lab.cache import disk_usage, lab_cache
from kautopsy.lab.kernels import cached_kernel
from kautopsy.lab.machines.image import cached_image
from kautopsy.lab.machines.release import RELEASES
from kautopsy.lab.machines.running import running_machine
from kautopsy.lab.series import SERIES
from kautopsy.model.base import Noun


class ShelvedKernel(Noun, frozen=True, kw_only=True):
    """A kernel series; ``release`` and ``version`` (its package's) are None if not fetched.

    :param size_bytes: on disk, the debuginfo included
    """

    series: str
    suite: str
    release: str | None = None
    version: str | None = None
    size_bytes: int = 0
    debuginfo: bool = False


class ShelvedMachine(Noun, frozen=True, kw_only=True):
    """A whole system.

    :param made: its image is in the cache
    :param running: ``lab run`` keeps it: it is reached as ``lab:NAME``
    """

    name: str
    suite: str
    made: bool
    running: bool
    size_bytes: int = 0


class Shelf(Noun, frozen=True, kw_only=True):
    """``kautopsy lab list --json``; ``size_bytes`` is of all that the lab keeps in ``folder``."""

    schema: Literal["kautopsy.lab/1"] = "kautopsy.lab/1"
    folder: str
    size_bytes: int
    kernels: tuple[ShelvedKernel, ...]
    machines: tuple[ShelvedMachine, ...] = ()


def look() -> Shelf:
    """Look at the cache; nothing is fetched."""
    return Shelf(
        folder=str(lab_cache()),
        size_bytes=disk_usage(lab_cache()),
        kernels=tuple(map(_look_at, SERIES)),
        machines=tuple(map(_look_at_machine, RELEASES)),
    )


def _look_at_machine(name: str) -> ShelvedMachine:
    image = cached_image(name)
    return ShelvedMachine(
        name=name,
        suite=RELEASES[name].suite,
        made=image is not None,
        running=running_machine(name) is not None,
        size_bytes=disk_usage(Path(image.folder)) if image else 0,
    )


def _look_at(name: str) -> ShelvedKernel:
    suite = SERIES[name].suite
    kernel = cached_kernel(name)
    if kernel is None:
        return ShelvedKernel(series=name, suite=suite)
    return ShelvedKernel(
        series=name,
        suite=suite,
        release=kernel.release,
        version=kernel.version,
        size_bytes=disk_usage(kernel.root),
        debuginfo=kernel.cached_vmlinux is not None,
    )
