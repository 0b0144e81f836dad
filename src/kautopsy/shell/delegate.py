"""drgn's crash mode, through its public door: ``run_command(prog, "crash ...")``."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator

from drgn.commands import (
    CommandArgumentError,
    CommandExitStatusError,
    CommandNotFoundError,
    run_command,
)
from drgn.commands import CommandError as DrgnCommandError

from kautopsy.kernel.reading import READ_ERRORS, reason
from kautopsy.shell.errors import BadArgumentsError, CommandError
from kautopsy.shell.session import Session

_SCROLL = "kautopsy_shell_scroll"


def delegate(session: Session, name: str, text: str = "") -> Iterator[str]:
    """Run drgn's crash command ``name`` with ``text`` behind it; yields its lines.

    :raises CommandError: what went wrong, in a line; the lines before it were yielded
    """
    program = session.program
    if _SCROLL not in program.cache:
        # We page by ourselves; drgn's pager would be started for every command.
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                run_command(program, "crash set scroll off", globals={})
        except CommandNotFoundError:
            raise CommandError(
                "drgn's crash commands are not there", hint="is DRGN_DISABLE_PLUGINS set?"
            ) from None
        program.cache[_SCROLL] = True
    output = io.StringIO()
    failure: BaseException | None = None
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(io.StringIO()):
            run_command(program, f"crash {name} {text}".rstrip(), globals={"prog": program})
    except CommandArgumentError as error:
        message = str(error).splitlines()[-1].removeprefix(f"{name}: error: ")
        failure = BadArgumentsError(message, hint=f"help {name}")
    except (CommandNotFoundError, CommandExitStatusError, DrgnCommandError) as error:
        failure = CommandError(str(error))
    except SyntaxError as error:
        failure = BadArgumentsError(str(error))
    except READ_ERRORS as error:
        failure = CommandError(reason(error))
    except RecursionError:
        failure = CommandError("it is nested too deeply")
    except KeyboardInterrupt as error:
        failure = error
    yield from output.getvalue().splitlines()
    if failure is not None:
        raise failure


def help_of(session: Session, name: str) -> str:
    """drgn's own help on one of its crash commands."""
    return "\n".join(delegate(session, "help", name))
