"""The one tree of errors a user can meet.

Every failure that is not a bug is a :class:`KautopsyError`: a kebab-case slug that names it for
scripts and for the manual, one sentence about what happened, the thing it happened to, a hint that
helps, and the exit code of the command. ``cli.main`` prints it on one line; no traceback reaches a
user.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What ``kautopsy`` tells the shell."""

    OK = 0
    BAD = 1
    """The thing asked about is bad: not ready, a crash found by ``--check``, a failed drill."""
    USAGE = 2
    UNREADABLE = 3
    UNREACHABLE = 4
    REFUSED = 5
    BUG = 70


class KautopsyError(Exception):
    """A failure with a name.

    :param what: one sentence, lower case, no full stop
    :param thing: what it happened to: a path, a host, a build-id
    :param hint: what the user can do about it
    :param slug: overrides the class's slug where one class covers several failures
    """

    slug: str = "failed"
    exit_code: ExitCode = ExitCode.BAD

    def __init__(
        self, what: str, *, thing: str = "", hint: str = "", slug: str | None = None
    ) -> None:
        super().__init__(what)
        self.what = what
        self.thing = thing
        self.hint = hint
        if slug is not None:
            self.slug = slug

    def __str__(self) -> str:
        thing = f"{self.thing}: " if self.thing else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.slug}: {thing}{self.what}{hint}"

    def __reduce__(self) -> tuple[object, ...]:
        # Errors cross process borders (the analysis child): keep the keyword arguments.
        return _rebuild, (type(self), self.what, self.thing, self.hint, self.slug)


def _rebuild(
    cls: type[KautopsyError], what: str, thing: str, hint: str, slug: str
) -> KautopsyError:
    return cls(what, thing=thing, hint=hint, slug=slug)


class UsageError(KautopsyError):
    """The command line asks for something that makes no sense."""

    slug = "usage"
    exit_code = ExitCode.USAGE


class UnreadableError(KautopsyError):
    """The input cannot be read: not a dump, truncated, no permission, another kernel's vmlinux."""

    slug = "unreadable"
    exit_code = ExitCode.UNREADABLE


class UnreachableError(KautopsyError):
    """A machine, or the controller that speaks for it, does not answer."""

    slug = "unreachable"
    exit_code = ExitCode.UNREACHABLE


class RefusedError(KautopsyError):
    """A guard said no."""

    slug = "refused"
    exit_code = ExitCode.REFUSED


class MissingToolError(KautopsyError):
    """A program or an optional Python package that this needs is not installed."""

    slug = "missing-tool"
    exit_code = ExitCode.USAGE


_BY_EXIT_CODE: dict[ExitCode, type[KautopsyError]] = {
    cls.exit_code: cls for cls in (UsageError, UnreadableError, UnreachableError, RefusedError)
}


def in_words(error: BaseException) -> str:
    """An exception that nobody expected, on one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]


def error_from(exit_code: int, *, what: str, thing: str, hint: str, slug: str) -> KautopsyError:
    """An error that was told by another process, of the class its exit code stands for."""
    code = ExitCode(exit_code)
    error = _BY_EXIT_CODE.get(code, KautopsyError)(what, thing=thing, hint=hint, slug=slug)
    error.exit_code = code
    return error
