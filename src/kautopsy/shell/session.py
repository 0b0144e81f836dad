"""A session: the program, what the user has set, the task that commands are about."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from drgn import Object, Program

from kautopsy.kernel.reading import READ_ERRORS, reason
from kautopsy.model.dump import DumpFile
from kautopsy.model.finding import Finding
from kautopsy.model.report import Symbols, SymbolSource
from kautopsy.shell.errors import CommandError

if TYPE_CHECKING:
    from kautopsy.shell.overlay import Overlay

BUILTIN_ALIASES = {
    "man": "help", "?": "help", "quit": "q", "sf": "set scroll off", "sn": "set scroll on",
    "hex": "set radix 16", "dec": "set radix 10", "g": "gdb", "px": "p -x", "pd": "p -d",
    "for": "foreach", "size": "*", "dmesg": "log", "lsmod": "mod", "last": "ps -l",
}  # fmt: skip
"""Those that crash has."""
CONTEXT = "crash_context"
"""Where drgn's crash commands keep the task they are about, in ``Program.config``."""


@dataclass
class Settings:
    """What ``set`` sets."""

    radix: int = 10
    scroll: bool = True
    pager: str = ""
    gdb: bool = False
    error: str = "default"
    null_stop: bool = False
    zero_excluded: bool = False


@dataclass
class Session:
    """One open dump, or the running kernel.

    :param dump: None for the running kernel
    :param live: it is the running kernel
    :param printed: how many values ``p`` has shown
    :param failures: how many commands have failed
    :param investigate: what is wrong with the machine; triage stands above this room, so who opens
        the session gives it
    """

    program: Program
    dump: DumpFile | None
    symbols: Symbols
    settings: Settings = field(default_factory=Settings)
    aliases: dict[str, str] = field(default_factory=lambda: dict(BUILTIN_ALIASES))
    extensions: dict[str, tuple[str, ...]] = field(default_factory=dict)
    overlay: Overlay | None = None
    live: bool = False
    started: float = field(default_factory=time.monotonic)
    failures: int = 0
    printed: int = 0
    investigate: Callable[[], Iterable[Finding]] | None = None

    @property
    def has_types(self) -> bool:
        """Whether structures can be read at all."""
        return self.symbols.source not in (SymbolSource.KALLSYMS, SymbolSource.NONE)

    @property
    def context(self) -> Object:
        """The current task, ``struct task_struct *``; at first the one that panicked.

        :raises CommandError: it is not known
        """
        task = self.program.config.get(CONTEXT)
        if isinstance(task, Object):
            return task
        task = self.first_context()
        self.program.config[CONTEXT] = task
        return task

    @context.setter
    def context(self, task: Object) -> None:
        self.program.config[CONTEXT] = task
        self.program.config["crash_context_origin"] = ("task", task.value_())

    def first_context(self) -> Object:
        """The task that panicked; on a running kernel this very process."""
        if self.live:
            import os

            from drgn.helpers.linux.pid import find_task

            return find_task(self.program, os.getpid())
        try:
            return self.program.crashed_thread().object
        except READ_ERRORS as error:
            raise CommandError(
                f"the task that panicked is not known: {reason(error)}", hint="set PID"
            ) from error

    def need_types(self, what: str) -> None:
        """Say in one line that the dump has no types for ``what``.

        :raises CommandError: always, where there are none
        """
        if not self.has_types:
            raise CommandError(
                f"{what} takes types, and neither the dump nor a kit has any",
                hint="kautopsy symbols find DUMP",
            )

    def next_value(self) -> int:
        """The number of the next ``$N`` that ``p`` shows."""
        self.printed += 1
        return self.printed

    def base(self, *, hexadecimal: bool = False, decimal: bool = False) -> int:
        """16 or 10: what the options ``-x`` and ``-d`` say, else what was set."""
        if hexadecimal:
            return 16
        return 10 if decimal else self.settings.radix

    def cached(self, key: str, make: Callable[[], object]) -> object:
        """A value that is made once for the program."""
        key = f"kautopsy_shell_{key}"
        if key not in self.program.cache:
            self.program.cache[key] = make()
        return self.program.cache[key]
