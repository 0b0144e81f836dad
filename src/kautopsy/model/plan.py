"""What shall change on a machine so that it leaves a dump, and the record of what did."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import msgspec

from kautopsy.model.base import Noun


class Step(Noun, frozen=True, kw_only=True):
    """One change: of a file (with its unified diff) or by a command; ``undo`` in words."""

    what: str
    file: str | None = None
    command: tuple[str, ...] | None = None
    diff: str | None = None
    undo: str


class Plan(Noun, frozen=True, kw_only=True):
    """``kautopsy arm --json``; nothing to do is no steps.

    :param notes: what was decided, and why
    :param manual: what somebody must do by hand, before or after the steps
    :param reboot: the steps count from the next boot on only
    :param unfinished: an earlier run was interrupted; the next ``--apply`` or ``disarm`` undoes it
    """

    schema: Literal["kautopsy.plan/1"] = "kautopsy.plan/1"
    steps: tuple[Step, ...]
    notes: tuple[str, ...] = ()
    manual: tuple[str, ...] = ()
    reboot: bool = False
    unfinished: bool = False


class Before(Noun, frozen=True, kw_only=True):
    """A path as it was; ``contents`` and ``mode`` of a file, ``target`` of a symbolic link."""

    path: str
    contents: bytes | None = None
    target: str | None = None
    mode: int = 0


class Progress(StrEnum):
    """How far a change has come."""

    DOING = "doing"
    DONE = "done"
    UNDONE = "undone"


class Change(Noun, frozen=True, kw_only=True):
    """One step as the journal on the machine's disk remembers it.

    :param session: the run of ``arm --apply`` that it belongs to
    :param before: the paths that the step may change, as they were
    :param after: what it left at these, each a digest; "" where nothing is, of all paths once the
        step is done, and of those it was going to write before that
    :param patterns: where a command may make files that were not there
    :param folders: made for it
    :param command: empty where files were written
    :param undo: the command that takes the step back; empty where its files are all of it
    :param renew: the command that makes generated files anew where they changed since
    :param always: ``renew`` is run in any case
    :param link: it is about a symbolic link, not about what that points to
    """

    session: int
    what: str
    progress: Progress = Progress.DOING
    before: tuple[Before, ...] = ()
    after: dict[str, str] = msgspec.field(default_factory=dict)
    patterns: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    undo: tuple[str, ...] = ()
    renew: tuple[str, ...] = ()
    always: bool = False
    link: bool = False


class Journal(Noun, frozen=True, kw_only=True):
    """Everything that was changed on a machine and not taken back, in order.

    :param finished: the number of the last session that came to its end
    :param folders: made to hold the journal itself
    :param owner: who writes it: the node where kautopsy runs, its process and when that began
    :param when: it was written, in seconds since 1970 on that node
    """

    schema: Literal["kautopsy.journal/1"] = "kautopsy.journal/1"
    finished: int = 0
    folders: tuple[str, ...] = ()
    owner: str = ""
    when: int = 0
    changes: tuple[Change, ...] = ()
