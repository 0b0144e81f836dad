"""Packages of one Debian suite, fetched by apt into a directory of our own.

apt verifies the archive's signature and every file's checksum; the host's own apt state, sources
and installed packages are neither read nor changed.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kautopsy.lab.cache import locked, staged
from kautopsy.lab.errors import LabError, NoKernelError
from kautopsy.lab.mirror import debian_mirror
from kautopsy.model.errors import MissingToolError

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
# A proxy, or patience with a bad line, is the host's to decide; its sources and hooks are not ours.
_INHERITED = re.compile(r"Acquire::(?:http|https|ftp|socks|Retries|ForceIPv|Check-)")
_DEPENDENCY = re.compile(r"^([a-z0-9][a-z0-9.+-]*)")


@dataclass(frozen=True)
class Package:
    """A binary package as the archive's index describes it.

    :param depends: names from Depends and Pre-Depends; of alternatives, the first
    """

    name: str
    version: str
    section: str
    sha256: str
    size: int
    depends: tuple[str, ...]

    @property
    def argument(self) -> str:
        """How apt-get is told of exactly this one."""
        return f"{self.name}={self.version}"


class Archive:
    """One suite.

    :param suite: its codename
    :param root: where apt may keep this suite's lists; made when first needed
    """

    def __init__(self, suite: str, root: Path) -> None:
        self.suite = suite
        self._root = root
        self._updated = False

    def update(self) -> None:
        """Fetch the suite's index, once in this object's life.

        :raises LabError: it cannot be had
        """
        if self._updated:
            return
        for tool in ("apt-get", "apt-cache", "dpkg-deb"):
            if shutil.which(tool) is None:
                raise MissingToolError(
                    "is not installed", thing=tool, hint="the lab needs apt and dpkg"
                )
        self._root.mkdir(parents=True, exist_ok=True)
        # apt's own locks do not wait.
        with locked(self._root):
            self._configure()
            self._apt("apt-get", "-qq", "update")
        self._updated = True

    def names(self, prefix: str) -> list[str]:
        """All packages whose name starts with ``prefix``."""
        self.update()
        return sorted(self._apt("apt-cache", "pkgnames", prefix).split())

    def package(self, name: str) -> Package | None:
        """The newest version of ``name`` in this suite, None if there is none."""
        self.update()
        text = self._apt("apt-cache", "show", "--no-all-versions", name, check=False)
        return parse_stanza(text) if text.strip() else None

    def closure(self, names: list[str], *, follow: Callable[[Package], bool]) -> list[Package]:
        """``names`` and whatever they depend on that ``follow`` accepts.

        :raises NoKernelError: the suite has no package of one of ``names``
        """
        found: dict[str, Package] = {}
        todo = [(name, True) for name in names]
        while todo:
            name, wanted = todo.pop()
            if name in found:
                continue
            package = self.package(name)
            if package is None:
                if wanted:
                    raise NoKernelError("is not in this suite", thing=f"{name} ({self.suite})")
                continue  # a virtual package
            if wanted or follow(package):
                found[name] = package
                todo += [(dependency, False) for dependency in package.depends]
        return [found[name] for name in sorted(found)]

    def download(self, package: Package, folder: Path) -> Path:
        """Fetch a package's file into ``folder`` and check it.

        :raises LabError: it cannot be fetched, or is not what the index says
        """
        self.update()
        before = set(folder.glob("*.deb"))
        with locked(self._root):
            self._apt("apt-get", "-qq", "download", package.argument, cwd=folder)
        (deb,) = set(folder.glob("*.deb")) - before
        with deb.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != package.sha256:
            deb.unlink()
            raise LabError(
                f"its sha256 is {found}, the index says {package.sha256}",
                thing=package.argument,
                hint="try again, or another mirror",
                slug="bad-checksum",
            )
        return deb

    def unpack(self, packages: list[Package], final: Path) -> None:
        """Fetch ``packages`` and unpack them all into ``final``, which appears whole or not."""
        with staged(final) as folder:
            with tempfile.TemporaryDirectory(prefix=".deb-", dir=final.parent) as temporary:
                for package in packages:
                    deb = self.download(package, Path(temporary))
                    _run(["dpkg-deb", "--extract", str(deb), str(folder)])
                    deb.unlink()
            # Without merged /usr (bullseye) a package may have /lib; /usr/lib is where we look.
            merge_usr(folder)

    def _configure(self) -> None:
        for name in ("lists/partial", "cache/archives/partial"):
            (self._root / name).mkdir(parents=True, exist_ok=True)
        if not KEYRING.exists():
            raise MissingToolError(
                "is not there, so no Debian archive can be verified",
                thing=str(KEYRING),
                hint="install debian-archive-keyring",
            )
        (self._root / "status").touch()
        (self._root / "sources.list").write_text(
            f"deb [arch=amd64 signed-by={KEYRING}] {debian_mirror()} {self.suite} main\n"
        )
        inherited = _run(["apt-config", "dump"]).splitlines()
        root = self._root
        (root / "apt.conf").write_text(
            "\n".join(
                [
                    'Acquire::Retries "3";',
                    *(line for line in inherited if _INHERITED.match(line)),
                    f'Dir::State "{root}";',
                    f'Dir::State::lists "{root}/lists";',
                    f'Dir::State::status "{root}/status";',
                    f'Dir::Cache "{root}/cache";',
                    f'Dir::Etc::sourcelist "{root}/sources.list";',
                    'Dir::Etc::sourceparts "-";',
                    'Dir::Etc::main "-";',
                    'Dir::Etc::parts "-";',
                    'Dir::Etc::preferences "-";',
                    'Dir::Etc::preferencesparts "-";',
                    'APT::Architecture "amd64";',
                    'APT::Architectures { "amd64"; };',
                    # The user _apt may not write into somebody's cache directory.
                    'APT::Sandbox::User "root";',
                    'Acquire::Languages "none";',
                    "",
                ]
            )
        )

    def _apt(self, *argv: str, cwd: Path | None = None, check: bool = True) -> str:
        environment = {**os.environ, "APT_CONFIG": str(self._root / "apt.conf"), "LC_ALL": "C"}
        return _run(list(argv), env=environment, cwd=cwd, check=check)


def parse_stanza(text: str) -> Package:
    """The first stanza of ``apt-cache show``."""
    fields: dict[str, str] = {}
    for line in text.strip().splitlines():
        if not line:
            break
        if not line[0].isspace():
            key, _, value = line.partition(":")
            fields[key] = value.strip()
    depends: list[str] = []
    for part in f"{fields.get('Pre-Depends', '')},{fields.get('Depends', '')}".split(","):
        if match := _DEPENDENCY.match(part.strip()):
            depends.append(match[1])
    return Package(
        name=fields["Package"],
        version=fields["Version"],
        section=fields.get("Section", ""),
        sha256=fields["SHA256"],
        size=int(fields["Size"]),
        depends=tuple(dict.fromkeys(depends)),
    )


def merge_usr(root: Path) -> None:
    """Move ``root``'s bin, sbin and lib* below usr, and leave links, as merged /usr has them."""
    for name in ("bin", "sbin", "lib", "lib64"):
        old, new = root / name, root / "usr" / name
        if old.is_dir() and not old.is_symlink():
            shutil.copytree(old, new, symlinks=True, dirs_exist_ok=True)
            shutil.rmtree(old)
        if not old.exists() and new.is_dir():
            old.symlink_to(f"usr/{name}")


def _run(
    argv: list[str],
    *,
    env: dict[str, str] | None = None,
    cwd: Path | None = None,
    check: bool = True,
) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, env=env, cwd=cwd, check=False)
    if check and done.returncode:
        words = [line for line in done.stderr.splitlines() if line.startswith("E:")]
        raise LabError(
            "; ".join(words or done.stderr.strip().splitlines()[-3:]) or "failed without a word",
            thing=" ".join(argv[:3]),
            hint="is the Debian archive reachable from here? KAUTOPSY_DEBIAN_MIRROR names another",
            slug="fetch-failed",
        )
    return done.stdout
