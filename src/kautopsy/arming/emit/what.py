"""What a plan comes down to for whoever carries it out without kautopsy."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

from kautopsy.arming.deeds import CommandDeed, FileDeed, LinkDeed, Work
from kautopsy.arming.distribution import family_of
from kautopsy.arming.distribution.family import Family
from kautopsy.arming.policy import Policy
from kautopsy.model.errors import RefusedError
from kautopsy.model.host import HostFacts


@dataclass(frozen=True)
class FileGoal:
    """A file's wanted contents.

    :ivar before: as they are where the plan was made; None where there is none
    :ivar guarded: it is changed only where it is as it was for the plan
    """

    what: str
    path: str
    before: bytes | None
    after: bytes | None
    mode: int
    guarded: bool


@dataclass(frozen=True)
class LinkGoal:
    """A symbolic link; ``target`` None: it goes."""

    what: str
    path: str
    target: str | None


@dataclass(frozen=True)
class CommandGoal:
    """A command to run; ``generates``: it makes files from those before it."""

    what: str
    argv: tuple[str, ...]
    generates: bool


Goal = FileGoal | LinkGoal | CommandGoal


@dataclass(frozen=True)
class Goals:
    """A plan in order, and what new machines need to be like it.

    :ivar name: of the machine that it was made for
    :ivar unit: of the kdump service; "" without one
    :ivar package: that brings it; "" without one
    """

    name: str
    family: Family
    facts: HostFacts
    goals: tuple[Goal, ...]
    manual: tuple[str, ...]
    reboot: bool
    crashkernel: tuple[str, ...]
    unit: str
    package: str
    sysctl_file: str
    sysctls: Mapping[str, str]
    configured: tuple[FileGoal, ...]

    @property
    def words(self) -> list[str]:
        """``crashkernel=…``, a word a value."""
        return [f"crashkernel={value}" for value in self.crashkernel]


def goals_of(facts: HostFacts, policy: Policy, work: Work) -> Goals:
    """Take a plan apart.

    :raises RefusedError: there is no plan, because nothing is known of the distribution
    """
    if not work.known:
        raise RefusedError(
            "its distribution is not known: there is nothing to emit",
            thing=facts.node or "this",
            slug="unknown-distribution",
        )
    family = family_of(facts.os)
    package = family.package(facts)
    goals: list[Goal] = []
    places: dict[str, int] = {}
    for deed in work.deeds:
        match deed:
            case FileDeed():
                goal = FileGoal(
                    deed.what, deed.path, deed.before, deed.wanted(deed.before), deed.mode,
                    deed.settled,
                )  # fmt: skip
                if deed.path in places:
                    # Edited twice: one file with both.
                    first = goals[places[deed.path]]
                    assert isinstance(first, FileGoal)
                    goals[places[deed.path]] = replace(first, after=deed.wanted(first.after))
                else:
                    places[deed.path] = len(goals)
                    goals.append(goal)
            case LinkDeed():
                goals.append(LinkGoal(deed.what, deed.path, deed.target))
            case CommandDeed():
                goals.append(CommandGoal(deed.what, deed.argv, deed.renew == deed.argv))
    edited = {edit.path for edit in family.edits(policy, facts)} if policy.service else set()
    return Goals(
        name=facts.node or "this machine",
        family=family,
        facts=facts,
        goals=tuple(goals),
        manual=work.manual,
        reboot=work.reboot,
        crashkernel=work.crashkernel,
        unit=f"{facts.service.unit}.service" if facts.service and policy.service else "",
        package=package.name if package and policy.service else "",
        sysctl_file=work.sysctl_file,
        sysctls=work.sysctls,
        configured=tuple(g for g in goals if isinstance(g, FileGoal) and g.path in edited),
    )


def sha256(contents: bytes) -> str:
    """As sha256sum prints it."""
    return hashlib.sha256(contents).hexdigest()


def is_plain(contents: bytes, *, longest: int = 1000) -> bool:
    """Whether contents can stand in a block of text: printable lines, the last one ended."""
    try:
        text = contents.decode()
    except UnicodeDecodeError:
        return False
    lines = text.split("\n")
    return (
        text.endswith("\n")
        and not text.endswith("\n\n")
        and not text.startswith((" ", "\n"))
        and all(line.replace("\t", "").isprintable() for line in lines)
        and max(len(line) for line in lines) <= longest
    )
