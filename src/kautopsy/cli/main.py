"""The entry point: finds the verb, runs it, and turns every failure into one clear line."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import pkgutil
import signal
import sys
from collections.abc import Callable, Sequence
from types import ModuleType

import kautopsy
from kautopsy import cli
from kautopsy.model.errors import ExitCode, KautopsyError

_NOT_VERBS = {"main"}


def verbs() -> list[str]:
    """The names of all verbs, in the order of ``--help``."""
    names = (module.name for module in pkgutil.iter_modules(cli.__path__))
    return sorted(n for n in names if n not in _NOT_VERBS and not n.startswith("_"))


def _load(verb: str) -> ModuleType:
    return importlib.import_module(f"kautopsy.cli.{verb}")


def build_parser(only: str | None = None) -> argparse.ArgumentParser:
    """The parser of the whole command, or (which starts faster) of the verb ``only``."""
    parser = argparse.ArgumentParser(
        prog="kautopsy", description=kautopsy.__doc__, allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"kautopsy {kautopsy.__version__}")
    subparsers = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for verb in [only] if only else verbs():
        module = _load(verb)
        text = (module.__doc__ or "").strip()
        sub = subparsers.add_parser(
            verb,
            help=text.split("\n", 1)[0].rstrip("."),
            description=text,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        module.configure(sub)
        sub.set_defaults(run=module.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``kautopsy`` and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    # Bytes of a dead kernel or an odd file name must not end in UnicodeEncodeError.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    verb = arguments[0] if arguments and arguments[0] in verbs() else None
    parser = build_parser(verb)
    if "_ARGCOMPLETE" in os.environ:
        import argcomplete

        argcomplete.autocomplete(build_parser())

    def answer() -> int:
        namespace = parser.parse_args(arguments)
        return int(namespace.run(namespace))

    return guarded(answer)


def guarded(call: Callable[[], int]) -> int:
    """``call()``; each way to fail becomes one line on stderr and an exit code."""
    try:
        return call()
    except KautopsyError as error:
        _complain(str(error))
        return int(error.exit_code)
    except KeyboardInterrupt:
        _complain("interrupted")
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # The reader (head, less) went away: nothing is wrong, and nothing may be said on stdout.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except OSError as error:
        if error.filename is None:
            raise
        _complain(f"io-error: {error.filename}: {error.strerror}")
        return int(ExitCode.UNREADABLE)
    except Exception as error:
        if os.environ.get("KAUTOPSY_DEBUG"):
            raise
        _complain(
            f"bug: {type(error).__name__}: {error}"
            " (this is a defect of kautopsy; KAUTOPSY_DEBUG=1 shows where, please report it)"
        )
        return int(ExitCode.BUG)


def _complain(line: str) -> None:
    from kautopsy.report.escape import one_line

    print(f"kautopsy: {one_line(line)}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
