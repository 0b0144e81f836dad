"""Follow the leads: download, verify the checksum, unpack, verify the build-id, keep."""

from __future__ import annotations

import contextlib
import hashlib
import re
import urllib.parse
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

from kautopsy.host.debian import DebianPackage, DebianSuite
from kautopsy.model.errors import KautopsyError
from kautopsy.symbols.finder import debuginfod
from kautopsy.symbols.finder.cache import DebuginfoCache
from kautopsy.symbols.finder.debindex import indexed_checksum
from kautopsy.symbols.finder.distro.offer import DebianFile, Lead, Listing, PackageFile, Source
from kautopsy.symbols.finder.elf import identify, kernel_release
from kautopsy.symbols.finder.extract import extract_kernel
from kautopsy.symbols.finder.http import Watch, download, get_text, mirrored, verify_checksum
from kautopsy.symbols.finder.repodata import published_checksum
from kautopsy.symbols.finder.snapshot import snapshot_files
from kautopsy.symbols.finder.target import Target

Stage = Callable[[str], Watch | None]
"""Told the name of each thing that takes a while; gives back what watches its bytes."""

# How many versions of one package are tried before its distribution is given up.
_MAX_VERSIONS = 3
_MAX_OLD_VERSIONS = 8


@dataclass(frozen=True)
class Fetched:
    """What came of it.

    :param path: the vmlinux in the cache; None if nobody has it
    :param source: the address or package it came from
    :param notes: what was tried, what was not there, how it was verified
    """

    path: Path | None
    source: str = ""
    notes: tuple[str, ...] = ()


@dataclass
class Fetcher:
    """One search; collects notes on the way."""

    target: Target
    cache: DebuginfoCache
    stage: Stage
    modules: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.notes: list[str] = []

    def run(self, leads: tuple[Lead, ...]) -> Fetched:
        """Ask debuginfod, then each lead's sources, until the right build is in the cache.

        A source that fails is noted and passed over.

        :raises KautopsyError: no room, or the cache cannot be written
        """
        # debuginfod has modules only by their own build-ids, which a dump's header does not tell.
        if self.target.build_id is not None and not self.modules:
            found = self._debuginfod(self.target.build_id)
            if found is not None:
                return found
        for lead in leads:
            for source in lead.sources:
                found = self._source(lead, source)
                if found is not None:
                    return found
        return Fetched(None, "", tuple(self.notes))

    def _debuginfod(self, build_id: str) -> Fetched | None:
        if not debuginfod.servers():
            return None
        watch = self.stage("debuginfod")
        answer = debuginfod.fetch(build_id, self._downloads(), watch=watch)
        self.notes += answer.said
        if answer.path is None:
            return None
        path = self.cache.add(answer.path, source=answer.server, release=self.target.release)
        return Fetched(path, answer.server, tuple(self.notes))

    def _source(self, lead: Lead, source: Source) -> Fetched | None:
        title = lead.offer.title
        try:
            with contextlib.closing(self._packages(source)) as packages:
                for package, checked, origin in packages:
                    try:
                        return self._unpack(package, origin, checked)
                    except KautopsyError as error:
                        if error.slug in _FATAL:
                            raise
                        self.notes.append(f"{title}: {origin}: {error.what}")
        except KautopsyError as error:
            if error.slug in _FATAL:
                raise
            thing = f"{error.thing}: " if error.thing else ""
            self.notes.append(f"{title}: {thing}{error.what}")
        return None

    def _packages(self, source: Source) -> Generator[tuple[Path, str, str], None, None]:
        """Each package that the source leads to: the file, how it was checked, where from.

        A file is there until the next is asked for.
        """
        match source:
            case PackageFile():
                yield from self._download(source.url, source.repository)
            case Listing():
                for url in self._listed(source):
                    indexes = source.indexes(url.rpartition("/")[2])
                    yield from self._download(url, source.repository, indexes)
            case DebianFile():
                yield from self._debian(source)

    def _downloads(self) -> Path:
        folder = self.cache.root / ".downloads"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _download(
        self, url: str, repository: str | None, indexes: tuple[str, ...] = ()
    ) -> Iterator[tuple[Path, str, str]]:
        name = url.rpartition("/")[2]
        # One name for each address: the same package of two rebuilds is not the same file.
        path = self._downloads() / f"{hashlib.sha256(url.encode()).hexdigest()[:16]}-{name}"
        download(mirrored(url), path, watch=self.stage(name))
        checked = self._check(path, url, repository, indexes)
        try:
            yield path, checked, url
        finally:
            path.unlink(missing_ok=True)

    def _check(self, path: Path, url: str, repository: str | None, indexes: tuple[str, ...]) -> str:
        """Compare ``path`` with what the distribution publishes; says what came of it."""
        name = url.rpartition("/")[2]
        said = "no checksum is published"
        for index in (repository, *indexes):
            if index is None:
                continue
            self.stage(f"index {index}")
            try:
                with self.cache.receive("index") as work:
                    if index == repository:
                        checksum = published_checksum(index, name, work)
                    else:
                        checksum = indexed_checksum(index, name, work)
            except KautopsyError as error:
                if error.slug in _FATAL:
                    raise
                said = f"the archive's index cannot be had ({error.what})"
                continue
            if checksum is not None:
                verify_checksum(path, checksum, url)
                return f"{checksum.algorithm} is as in the archive's index"
            said = "not in the archive's index"
        return said

    def _listed(self, source: Listing) -> list[str]:
        page = get_text(mirrored(source.url))
        names = sorted(set(re.findall(source.pattern, urllib.parse.unquote(page))), key=_natural)
        if not names:
            raise KautopsyError("lists no such package", thing=source.url, slug="not-there")
        return [source.url + name for name in reversed(names[-_MAX_VERSIONS:])]

    def _debian(self, source: DebianFile) -> Iterator[tuple[Path, str, str]]:
        seen: set[str] = set()
        for name in source.suites:
            suite = DebianSuite(name, source.architecture)
            self.stage(f"lists of Debian {name}")
            try:
                versions = suite.versions(source.package)[:_MAX_VERSIONS]
            except KautopsyError as error:
                # No apt on this machine, or no archive: the snapshots need neither.
                thing = f"{error.thing} " if error.slug == "missing-tool" else ""
                self.notes.append(f"Debian {name}: {thing}{error.what}")
                continue
            if not versions:
                self.notes.append(f"Debian {name}: has no package {source.package}")
            for package in versions:
                if package.version not in seen:
                    seen.add(package.version)
                    yield from self._debian_package(suite, package)
        self.stage("versions that Debian no longer has")
        for old in snapshot_files(source.package, source.architecture, limit=_MAX_OLD_VERSIONS):
            if old.version in seen:
                continue
            path = self._downloads() / f"{old.checksum.value[:16]}-{source.package}.deb"
            watch = self.stage(f"{source.package} {old.version}")
            download(old.url, path, checksum=old.checksum, watch=watch)
            try:
                yield path, "sha1 is as the snapshots have it", f"{source.package} {old.version}"
            finally:
                path.unlink(missing_ok=True)

    def _debian_package(
        self, suite: DebianSuite, package: DebianPackage
    ) -> Iterator[tuple[Path, str, str]]:
        watch = self.stage(package.file_name)
        had = suite.is_downloaded(package)
        path = suite.download(package.name, package.version, watch=watch)
        try:
            yield path, "sha256 is as in the signed index", package.file_name
        finally:
            # What is wanted of it is in the cache now; a copy that others keep stays.
            if not had:
                path.unlink(missing_ok=True)

    def _unpack(self, package: Path, origin: str, checked: str) -> Fetched:
        target = self.target
        assert target.release is not None  # leads come of a release
        with self.cache.receive("unpack") as folder:
            self.stage(f"unpack {origin.rpartition('/')[2]}")
            found = extract_kernel(package, target.release, folder, modules=self.modules)
            if found.vmlinux is None:
                raise KautopsyError(f"holds no vmlinux of {target.release}", slug="no-vmlinux")
            verify(found.vmlinux, target)
            have = {path.name.removesuffix(".ko.debug") for path in found.modules}
            for name in self.modules:
                if name.replace("-", "_") not in have:
                    self.notes.append(f"{origin} has no module {name} (it may be built in)")
            path = self.cache.add(
                found.vmlinux, source=origin, release=target.release, modules=found.modules
            )
        self.notes.append(f"{origin}: {checked}")
        return Fetched(path, origin, tuple(self.notes))


# Failures that every further source would meet too.
_FATAL = {"no-room", "no-cache", "missing-tool", "no-build-id"}


def verify(vmlinux: Path, target: Target) -> None:
    """Refuse a vmlinux that is not the target's.

    :raises KautopsyError: another build, naming both; or no DWARF in it
    """
    identity = identify(vmlinux)
    if identity is None:
        raise KautopsyError("its vmlinux is no ELF file", slug="bad-package")
    if target.build_id is not None and identity.build_id != target.build_id:
        raise KautopsyError(
            f"its vmlinux has build-id {identity.build_id}, the dump's kernel {target.build_id}",
            slug="wrong-build-id",
        )
    release = kernel_release(vmlinux)
    if target.build_id is None and release is not None and release != target.release:
        raise KautopsyError(f"its vmlinux is of {release}", slug="wrong-release")
    if not identity.has_dwarf:
        raise KautopsyError("its vmlinux has no DWARF", slug="no-dwarf")


def _natural(name: str) -> list[tuple[int, str]]:
    """Sorts ``.9`` before ``.10``."""
    return [(int(p), "") if p.isdecimal() else (-1, p) for p in re.split(r"(\d+)", name)]
