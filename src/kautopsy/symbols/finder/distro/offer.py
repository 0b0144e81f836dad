"""What a distribution's page answers: where the debugging information of a kernel may be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kautopsy.model.base import Noun


@dataclass(frozen=True)
class PackageFile:
    """A package at a known address.

    :param repository: address of the directory that holds ``repodata/``, whose index has the
        package's checksum; None where the distribution publishes none
    """

    url: str
    repository: str | None = None


@dataclass(frozen=True)
class Listing:
    """A page that lists packages, where a version is not to be known from ``uname -r``.

    :param pattern: regular expression of the file names in question; the highest is tried first
    :param repository: as of a :class:`PackageFile`
    :param indexes: for a file's name, addresses of the ``Packages.gz`` that may list it
    """

    url: str
    pattern: str
    repository: str | None = None
    indexes: Callable[[str], tuple[str, ...]] = lambda name: ()


@dataclass(frozen=True)
class DebianFile:
    """A package that a private apt resolves, in the first of the suites that has it."""

    package: str
    architecture: str
    suites: tuple[str, ...]


Source = PackageFile | Listing | DebianFile


class Offer(Noun, frozen=True, kw_only=True):
    """One distribution's way to the debugging information of one kernel.

    :param distribution: its name in ``--distribution``
    :param title: with its release: ``CentOS 7``
    :param packages: what holds it, as the package manager names it
    :param addresses: where that can be downloaded, in the order to try; none for subscribers only
    :param commands: what a user types; the first lines make the files reachable, the last installs
    :param debuginfod: a public server of the distribution that has its kernels
    :param note: what else is to be known
    """

    distribution: str
    title: str
    packages: tuple[str, ...]
    addresses: tuple[str, ...] = ()
    commands: tuple[str, ...]
    debuginfod: str | None = None
    note: str = ""


@dataclass(frozen=True)
class Lead:
    """An offer and how ``--fetch`` follows it; without sources it is for a person only."""

    offer: Offer
    sources: tuple[Source, ...]
