"""Debian's packages without touching the machine's own apt: a private one for each suite.

Kernels to practise on and debugging information both come out of Debian's archive, often from
another release than this machine's. Each suite gets its own sources, lists and downloads under
``$XDG_CACHE_HOME/kautopsy/apt``; apt itself checks the archive's signatures and every
file's SHA-256, and goes through whatever proxy the machine's apt is configured with. Where the
archive is, the machine's own configuration says.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kautopsy.host.debian_mirror import (
    MIRROR_VARIABLE,
    apt_environment,
    debian_mirror,
    debian_security_mirror,
)
from kautopsy.model.errors import KautopsyError, MissingToolError, UnreachableError

_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
# A proxy, or patience with a bad line, is the machine's to decide; its sources and hooks are not.
_INHERITED = re.compile(r"Acquire::(?:http|https|ftp|socks|Retries|ForceIPv|Check-)")
_WITHOUT_SECURITY = {"sid", "unstable", "experimental"}
_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+")
_SUITE = re.compile(r"[a-z][a-z0-9-]+")
_VERSION = re.compile(r"[A-Za-z0-9.+:~-]+")
# Longer than any mirror may stay silent; a download of 350 MB is watched by its growth instead.
_UPDATE_SECONDS = 600
_STALL_SECONDS = 180
# A compiler and all it needs, 150 MB, over a line that is just bearable.
_TOGETHER_SECONDS = 3600

Watch = Callable[[int, int], None]
"""Called with the bytes that are there and those there will be."""


@dataclass(frozen=True)
class DebianPackage:
    """One version of a package, as the signed index describes it.

    :param section: ``kernel``, ``libs``, …
    :param sha256: lower-case hex, of the ``.deb``
    :param size: bytes of the ``.deb``
    :param depends: names from Pre-Depends and Depends, first alternatives, without versions
    """

    name: str
    version: str
    architecture: str
    section: str
    sha256: str
    size: int
    depends: tuple[str, ...]

    @property
    def file_name(self) -> str:
        """As apt names the file: the epoch's colon is escaped."""
        return f"{self.name}_{self.version.replace(':', '%3a')}_{self.architecture}.deb"


@dataclass(frozen=True)
class DebianSuite:
    """One suite of the archive (``bookworm``, ``sid``).

    :param architecture: Debian's name for it (``dpkg --print-architecture``)
    :param root: where its lists and files are kept
    :param security: with its security updates, where it has any
    """

    suite: str
    architecture: str = "amd64"
    root: Path = field(default=Path())
    security: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        if not _SUITE.fullmatch(self.suite) or not _NAME.fullmatch(self.architecture):
            raise KautopsyError("is no suite of Debian's", thing=self.suite, slug="bad-suite")
        if self.root == Path():
            base = os.environ.get("XDG_CACHE_HOME", "")
            cache = Path(base) if base.startswith("/") else Path("~/.cache").expanduser()
            # Lists with and without security updates are different lists.
            name = f"{self.suite}-{self.architecture}" + ("" if self.security else "-main")
            object.__setattr__(self, "root", cache / "kautopsy" / "apt" / name)

    def refresh(self) -> None:
        """Fetch the lists, unless somebody did a minute ago; whoever is doing so is waited for.

        :raises UnreachableError: the archive does not answer
        """
        with self._locked():
            # Whoever waited for the lock finds lists that are as fresh as can be.
            if not self._has_lists() or self._lists_age() > 60:
                self._update()

    def show(self, package: str, version: str | None = None) -> DebianPackage | None:
        """The newest version of ``package``, or the one asked for; None if the suite has none.

        The lists are fetched if they are not there, and again if they do not know the package.
        """
        return self._ask(package, version, refresh=False) or self._ask(
            package, version, refresh=True
        )

    def names(self, prefix: str) -> tuple[str, ...]:
        """All packages whose name starts with ``prefix``, sorted.

        :raises UnreachableError: the archive does not answer
        """
        if not self._has_lists():
            self.refresh()
        return tuple(sorted(self._apt("apt-cache", "pkgnames", prefix, timeout=60).stdout.split()))

    def versions(self, package: str) -> tuple[DebianPackage, ...]:
        """All versions the suite has of ``package``, newest first; none if it has no such package.

        :raises UnreachableError: the archive does not answer
        """
        return tuple(self._stanzas(package, None)) if self.show(package) else ()

    def resolve(
        self, *packages: str, keep: Callable[[DebianPackage], bool]
    ) -> tuple[DebianPackage, ...]:
        """``packages`` and what they depend on, at any depth, as far as ``keep`` takes them.

        ``resolve("linux-image-cloud-amd64", keep=lambda package: package.section == "kernel")``
        leads from the name that follows new kernels to the packages that hold one.

        :raises KautopsyError: the suite has no such package
        """
        first = [self.show(name) or self._absent(name, None) for name in packages]
        found = {package.name: package for package in first}
        seen = set(found)
        queue = [name for package in first for name in package.depends]
        while queue:
            name = queue.pop(0)
            if name in seen:
                continue
            seen.add(name)
            dependency = self._ask(name, None, refresh=False)
            # A name that only other packages provide is no package; apt would choose one of them.
            if dependency is not None and keep(dependency):
                found[name] = dependency
                queue += dependency.depends
        return tuple(found.values())

    def download(
        self, package: str, version: str | None = None, *, watch: Watch | None = None
    ) -> Path:
        """The ``.deb``, downloaded unless it is there already with the right checksum.

        An interrupted download is continued. Needs no network where lists and file are cached.

        :raises KautopsyError: the suite has no such package
        :raises UnreachableError: the archive does not answer
        """
        wanted = self.show(package, version) or self._absent(package, version)
        final = self.root / "archives" / wanted.file_name
        if _matches(final, wanted):
            return final
        with self._locked():
            if _matches(final, wanted):
                return final
            try:
                self._fetch(wanted, final, watch)
            except UnreachableError:
                # A list may be older than the archive, which keeps only the newest versions.
                self._update()
                newer = self._stanzas(package, version)
                if not newer or newer[0] == wanted:
                    raise
                final = self.root / "archives" / newer[0].file_name
                self._fetch(newer[0], final, watch)
        return final

    def download_closure(self, packages: Sequence[str], folder: Path) -> tuple[Path, ...]:
        """``packages`` and all they depend on, as apt would put them on an empty machine.

        One run of apt: fifty single ones take two minutes.

        :param folder: where the files are put, beside an empty directory ``partial``
        :raises UnreachableError: a package is not there, or the archive does not answer
        """
        if not self._has_lists():
            self.refresh()
        (folder / "partial").mkdir(parents=True, exist_ok=True)
        with self._locked():
            done = self._apt(
                *("apt-get", "install", "-qq", "-y", "--no-install-recommends", "--download-only"),
                *("-o", f"Dir::Cache::archives={folder}", "-o", "Debug::NoLocking=true"),
                *packages,
                timeout=_TOGETHER_SECONDS,
            )
        if done.returncode != 0:
            raise UnreachableError(
                f"cannot be downloaded with what they need: {_reason(done.stderr)}",
                thing=" ".join(packages),
            )
        return tuple(sorted(folder.glob("*.deb")))

    def is_downloaded(self, package: DebianPackage) -> bool:
        """Whether its file is there, with the size it should have."""
        path = self.root / "archives" / package.file_name
        return path.is_file() and path.stat().st_size == package.size

    def _absent(self, package: str, version: str | None) -> DebianPackage:
        what = f"has no package {package}" + (f" of version {version}" if version else "")
        raise KautopsyError(
            f"{what} for {self.architecture}", thing=f"Debian {self.suite}", slug="no-such-package"
        )

    def _ask(self, package: str, version: str | None, *, refresh: bool) -> DebianPackage | None:
        if not _NAME.fullmatch(package) or (version and not _VERSION.fullmatch(version)):
            return None
        if refresh or not self._has_lists():
            self.refresh()
        return next(iter(self._stanzas(package, version)), None)

    def _stanzas(self, package: str, version: str | None) -> list[DebianPackage]:
        done = self._apt("apt-cache", "show", package, timeout=60)
        return [
            parsed
            for stanza in done.stdout.split("\n\n")
            if (parsed := _parse(stanza)) is not None
            and parsed.name == package
            and version in (None, parsed.version)
        ]

    def _has_lists(self) -> bool:
        return (self.root / "updated").is_file()

    def _lists_age(self) -> float:
        try:
            return time.time() - (self.root / "updated").stat().st_mtime
        except OSError:
            return float("inf")

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _update(self) -> None:
        """``apt-get update``, with security updates where the archive has them."""
        signed = f" signed-by={_KEYRING}" if _KEYRING.is_file() else ""
        options = f"[arch={self.architecture} target=Packages{signed}]"
        main = f"deb {options} {debian_mirror()} {self.suite} main\n"
        security = (
            f"deb {options} {debian_security_mirror()} {self.suite}-security main\n"
            if self.security and self.suite not in _WITHOUT_SECURITY and "-" not in self.suite
            else ""
        )
        (self.root / "etc").mkdir(parents=True, exist_ok=True)
        # The archive of security updates is another, and lacks suites that have ended.
        for sources in [main + security, main] if security else [main]:
            (self.root / "etc/sources.list").write_text(sources)
            done = self._apt("apt-get", "update", "-q", "--error-on=any", timeout=_UPDATE_SECONDS)
            if done.returncode == 0:
                (self.root / "updated").touch()
                return
        raise UnreachableError(
            f"the lists of Debian {self.suite} cannot be had: {_reason(done.stderr)}",
            thing=debian_mirror(),
            hint=f"is it a suite of that archive? {MIRROR_VARIABLE} names another archive"
            if signed
            else "apt may lack the archive's keys: install debian-archive-keyring",
        )

    def _fetch(self, package: DebianPackage, final: Path, watch: Watch | None) -> None:
        # `apt-get download` writes into the current directory and continues what it finds there.
        work = self.root / "archives" / "partial"
        work.mkdir(parents=True, exist_ok=True)
        partial = work / package.file_name
        _need("apt-get")
        argv = ["apt-get", "-q", "download", f"{package.name}={package.version}"]
        with (work / f"{package.file_name}.log").open("w+") as log:
            process = subprocess.Popen(
                argv,
                cwd=work,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment(),
            )
            try:
                self._wait(process, partial, package.size, watch)
            finally:
                if process.poll() is None:
                    process.terminate()
                    process.wait()
            log.seek(0)
            text = log.read()
        (work / f"{package.file_name}.log").unlink(missing_ok=True)
        if process.returncode != 0 or not _matches(partial, package):
            raise UnreachableError(f"the download failed: {_reason(text)}", thing=package.file_name)
        partial.replace(final)

    @staticmethod
    def _wait(
        process: subprocess.Popen[bytes], partial: Path, size: int, watch: Watch | None
    ) -> None:
        had = -1
        changed = time.monotonic()
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.2)
            with contextlib.suppress(OSError):
                now = partial.stat().st_size
                if now != had:
                    had, changed = now, time.monotonic()
                    if watch is not None:
                        watch(now, size)
            if process.returncode is not None:
                return
            if time.monotonic() - changed > _STALL_SECONDS:
                raise UnreachableError(
                    f"nothing came for {_STALL_SECONDS} s", thing=partial.name, slug="stalled"
                )

    def _environment(self) -> dict[str, str]:
        """What makes apt ours alone: its configuration is a file, read before any other."""
        path = self.root / "etc/apt.conf"
        root = self.root
        lines = [
            'Acquire::Retries "3";',
            *inherited_options(),
            f'Dir::State "{root}";',
            f'Dir::State::lists "{root}/lists";',
            f'Dir::State::status "{root}/etc/status";',
            f'Dir::Cache "{root}";',
            f'Dir::Cache::archives "{root}/archives";',
            f'Dir::Etc::sourcelist "{root}/etc/sources.list";',
            'Dir::Etc::sourceparts "-";',
            'Dir::Etc::main "-";',
            'Dir::Etc::parts "-";',
            'Dir::Etc::preferences "-";',
            'Dir::Etc::preferencesparts "-";',
            f'APT::Architecture "{self.architecture}";',
            f'APT::Architectures {{ "{self.architecture}"; }};',
            # The user _apt may not enter somebody's cache directory.
            'APT::Sandbox::User "root";',
            'Acquire::Languages "none";',
            # Kernels that crash are old: the lists of a suite that has ended are still signed, but
            # nobody renews their date.
            'Acquire::Check-Valid-Until "false";',
            "",
        ]
        text = "\n".join(lines)
        if not path.is_file() or path.read_text() != text:
            for part in ("lists/partial", "archives/partial", "etc"):
                (root / part).mkdir(parents=True, exist_ok=True)
            (root / "etc/status").touch()
            new = path.with_name(f"apt.conf.{os.getpid()}")
            new.write_text(text)
            new.replace(path)
        return {**apt_environment(), "APT_CONFIG": str(path)}

    def _apt(self, tool: str, *arguments: str, timeout: float) -> subprocess.CompletedProcess[str]:
        _need(tool)
        try:
            return subprocess.run(
                [tool, *arguments],
                capture_output=True,
                text=True,
                errors="replace",
                stdin=subprocess.DEVNULL,
                timeout=timeout,
                env=self._environment(),
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise UnreachableError(
                f"did not end within {timeout:.0f} s", thing=f"{tool} {arguments[0]}"
            ) from None


def _need(tool: str) -> None:
    if shutil.which(tool) is None:
        raise MissingToolError(
            "is not installed", thing=tool, hint="Debian's and Ubuntu's package apt has it"
        )


def inherited_options() -> list[str]:
    """What of this machine's apt configuration any apt of ours keeps: its way to the archive."""
    _need("apt-config")
    done = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=False)
    return [line for line in done.stdout.splitlines() if _INHERITED.match(line)]


def _parse(stanza: str) -> DebianPackage | None:
    fields: dict[str, str] = {}
    for line in stanza.splitlines():
        key, colon, value = line.partition(": ")
        if colon and not line.startswith(" "):
            fields.setdefault(key, value)
    try:
        return DebianPackage(
            name=fields["Package"],
            version=fields["Version"],
            architecture=fields["Architecture"],
            section=fields.get("Section", ""),
            sha256=fields["SHA256"],
            size=int(fields["Size"]),
            depends=tuple(
                clause.split("|")[0].split("(")[0].split(":")[0].strip()
                for kind in ("Pre-Depends", "Depends")
                for clause in fields.get(kind, "").split(",")
                if clause.strip()
            ),
        )
    except (KeyError, ValueError):
        return None


def _matches(path: Path, package: DebianPackage) -> bool:
    try:
        if path.stat().st_size != package.size:
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == package.sha256
    except OSError:
        return False


def _reason(stderr: str) -> str:
    """apt's first complaint, without its letter."""
    lines = [line for line in stderr.splitlines() if line.startswith(("E: ", "W: "))]
    errors = [line for line in lines if line.startswith("E: ")] or lines
    return errors[0][3:].strip() if errors else "apt does not say why"
