"""What the scenes are: the ground truth of ``scenes.toml``, typed and checked."""

from __future__ import annotations

import importlib.resources
import re
from enum import StrEnum
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from kautopsy.lab.faults.build import MODULE_NAME, sources
from kautopsy.lab.series import SERIES
from kautopsy.model.base import Noun
from kautopsy.model.crash import Kind
from kautopsy.model.errors import UsageError

_C_ENTRY = re.compile(r'^\t\{ "([a-z0-9-]+)", \w+ \},$', re.MULTILINE)
# Parts that other scenes are played with.
STEPS = frozenset({"disk-create", "disk-create-bio", "disk-stall", "crash-init"})


class StopBy(StrEnum):
    """Who stops the machine."""

    SELF = "self"
    SYSRQ = "sysrq"
    NMI = "nmi"


class Actor(Noun, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A task that a good report names.

    :param comm: its name
    :param role: the part it plays, in the words of :class:`~kautopsy.model.finding.TaskRole`
    """

    comm: Annotated[str, Meta(min_length=1, max_length=15)]
    role: str


class Scene(Noun, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One way to die, and what is true about it.

    :param what: one line
    :param crash: right kinds for ``crash.kind`` when the machine stops by itself; empty if it
        never does
    :param verdict: right kinds for ``verdict.kind``, the best one first
    :param culprit: right functions for ``verdict.culprit.function``; empty if it need not name one
    :param module: theirs, "" for the kernel
    :param tasks: who must be named among the findings
    :param mentions: words that the findings must contain
    :param trigger: who stops the machine, if not asked for otherwise
    :param kernels: series where it applies
    :param modules: of the kernel's own, loaded before
    :param play: shell commands, run in the background; None writes the scene's name to the module
    :param monitor: a command for QEMU's monitor, after ``play``
    :param wait: seconds until the machine has stopped, or until the operator stops it
    """

    name: str
    what: str
    verdict: Annotated[tuple[Kind, ...], Meta(min_length=1)]
    crash: tuple[Kind, ...] = ()
    culprit: tuple[str, ...] = ()
    module: str = MODULE_NAME
    tasks: tuple[Actor, ...] = ()
    mentions: tuple[str, ...] = ()
    trigger: StopBy = StopBy.SELF
    kernels: tuple[str, ...] = tuple(SERIES)
    sysctl: dict[str, int] = msgspec.field(default_factory=dict)
    cmdline: str = ""
    modules: tuple[str, ...] = ()
    play: tuple[str, ...] | None = None
    monitor: str = ""
    wait: Annotated[int, Meta(ge=1, le=120)] = 10
    notes: str = ""

    @property
    def commands(self) -> tuple[str, ...]:
        """Shell commands that start it, in a guest with the module loaded."""
        if self.play is not None:
            return self.play
        return (f"echo {self.name} >/proc/{MODULE_NAME}",)

    def crash_kinds(self, trigger: StopBy) -> tuple[Kind, ...]:
        """Right kinds for ``crash.kind`` when ``trigger`` stopped the machine."""
        if trigger is StopBy.SYSRQ:
            return (Kind.OPERATOR_SYSRQ,)
        if trigger is StopBy.NMI:
            return (Kind.OPERATOR_NMI,)
        return self.crash


class ScenesDocument(Noun, frozen=True, kw_only=True):
    """``kautopsy lab faults --json``."""

    schema: Literal["kautopsy.scenes/1"] = "kautopsy.scenes/1"
    scenes: tuple[Scene, ...]


def load_scenes() -> dict[str, Scene]:
    """All scenes by name, in the order of the file."""
    text = importlib.resources.files("kautopsy.lab.faults").joinpath("scenes.toml").read_text()
    tables = msgspec.toml.decode(text, type=dict[str, dict[str, object]])
    return {name: msgspec.convert({"name": name, **table}, Scene) for name, table in tables.items()}


def find_scene(name: str) -> Scene:
    """The scene called ``name``.

    :raises UsageError: there is none
    """
    scenes = load_scenes()
    if name not in scenes:
        raise UsageError(
            "is no scene",
            thing=name,
            hint="`kautopsy lab faults` lists them",
            slug="no-such-scene",
        )
    return scenes[name]


def names_in_module() -> frozenset[str]:
    """The names that the module's C source knows."""
    return frozenset(
        name
        for file, text in sources().items()
        if file.endswith(".c")
        for name in _C_ENTRY.findall(text.decode())
    )
