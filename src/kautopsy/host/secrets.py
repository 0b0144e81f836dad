"""Passwords by reference: an inventory says where one is, never what it is.

A secret's value is read at the moment it is used, goes nowhere but to who needs it, and stands on
no command line: those are everybody's to read in /proc.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import msgspec

from kautopsy.model.errors import MissingToolError, UnreadableError

_PATIENCE = 60.0
"""Seconds: a password manager may ask its user something."""


class Secret(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a password is; exactly one is given.

    :param env: a variable of the environment
    :param file: a file; its first line counts
    :param command: a command, ``["pass", "bmc/db1"]``; its first line of output counts
    :param keyring: ``SERVICE/USER`` for the ``keyring`` command
    """

    env: str = ""
    file: str = ""
    command: tuple[str, ...] = ()
    keyring: str = ""

    def __post_init__(self) -> None:
        if sum(map(bool, (self.env, self.file, self.command, self.keyring))) != 1:
            raise ValueError("a password is one of env, file, command or keyring")

    @property
    def where(self) -> str:
        """For people: where it would be looked for."""
        if self.env:
            return f"${self.env}"
        if self.file:
            return self.file
        return " ".join(self._argv)

    @property
    def _argv(self) -> tuple[str, ...]:
        if self.keyring:
            service, _, user = self.keyring.rpartition("/")
            return ("keyring", "get", service, user)
        return self.command

    def reveal(self) -> str:
        """The password.

        :raises UnreadableError: it is not where it should be
        """
        if self.env:
            value = os.environ.get(self.env)
            if value is None:
                raise self._missing("is not set", f"export {self.env}=…")
            return value
        if self.file:
            try:
                text = Path(self.file).expanduser().read_text()
            except (OSError, UnicodeDecodeError) as error:
                raise self._missing(getattr(error, "strerror", None) or str(error)) from None
            return self._first_line(text)
        return self._first_line(self._ask())

    def _ask(self) -> str:
        try:
            done = subprocess.run(
                self._argv, stdout=subprocess.PIPE, timeout=_PATIENCE, check=False, text=True
            )
        except FileNotFoundError:
            raise MissingToolError("is not installed", thing=self._argv[0]) from None
        except (subprocess.TimeoutExpired, OSError, UnicodeDecodeError) as error:
            raise self._missing(f"gave no password: {type(error).__name__}") from None
        if done.returncode:
            raise self._missing(f"ended with status {done.returncode}")
        return done.stdout

    def _first_line(self, text: str) -> str:
        line = text.split("\n", 1)[0].rstrip("\r")
        if not line:
            raise self._missing("is empty")
        return line

    def _missing(self, what: str, hint: str = "") -> UnreadableError:
        return UnreadableError(
            what, thing=f"password in {self.where}", slug="no-password", hint=hint
        )
