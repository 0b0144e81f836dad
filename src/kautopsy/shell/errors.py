"""What goes wrong in a command: one line, and the shell goes on."""

from __future__ import annotations

from kautopsy.model.errors import KautopsyError


class CommandError(KautopsyError):
    """A command could not do what it was asked."""

    slug = "command-failed"

    def __str__(self) -> str:
        thing = f": {self.thing}" if self.thing else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.what}{thing}{hint}"


class BadArgumentsError(CommandError):
    """The words after a command make no sense to it."""

    slug = "bad-arguments"


class LeaveShell(Exception):  # noqa: N818 - leaving is no error
    """``exit`` or ``q``."""
