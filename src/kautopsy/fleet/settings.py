"""What the fleet's commands are told: a TOML file, the environment, the command line; last wins.

The file is the one of ``--config`` or ``$KAUTOPSY_FLEET_CONFIG``, else ``/etc/kautopsy/fleet.toml``
if it is there. Every key of it has a variable: ``database`` is ``KAUTOPSY_FLEET_DATABASE``, and
``memory-limit`` is ``KAUTOPSY_FLEET_MEMORY_LIMIT``. docs/fleet.md lists them.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from kautopsy.model.errors import UnreadableError, UsageError

CONFIG_VARIABLE = "KAUTOPSY_FLEET_CONFIG"
_PREFIX = "KAUTOPSY_FLEET_"
SYSTEM = Path("/etc/kautopsy/fleet.toml")
_SIZE = re.compile(r"(\d+)\s*([KMGT]?)i?B?", re.IGNORECASE)
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}


class Settings(
    msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True
):
    """All settings; sizes in bytes (``64G`` in the file), times in seconds.

    :param database: address of the store; empty: a SQLite file in ``data``
    :param data: directory of what was received: dumps, logs, uploads on their way
    :param scheduler: of Dask, ``tcp://host:8786``; empty: workers of our own on this machine
    :param workers: dumps analysed at a time; 0: as many as there are CPUs
    :param time_limit: of the analysis of a dump
    :param memory_limit: of the analysis of a dump
    :param lease: after which an analysis that nobody renewed is given to another
    :param exemplars: dumps kept of a group, by retention
    :param disk_budget: for what was received; 0: no limit
    :param upload_limit: of a file that comes in
    :param unpacked_limit: of what comes out of a compressed file or an archive
    :param upload_expires: after which an upload that nobody went on with is dropped
    :param settle: a watched file is read when it has not changed for so long
    """

    database: str = ""
    data: str = ""
    scheduler: str = ""
    workers: int = 0
    time_limit: float = 600.0
    memory_limit: int = 4 << 30
    lease: float = 60.0
    debuginfo: bool = True
    exemplars: int = 5
    disk_budget: int = 0
    upload_limit: int = 64 << 30
    unpacked_limit: int = 256 << 30
    upload_expires: float = 7 * 86400.0
    settle: float = 5.0

    @property
    def data_folder(self) -> Path:
        """``data``, or where this user's data belong."""
        if self.data:
            return Path(self.data).expanduser()
        base = os.environ.get("XDG_DATA_HOME", "")
        root = Path(base) if base.startswith("/") else Path("~/.local/share").expanduser()
        return root / "kautopsy" / "fleet"

    @property
    def database_url(self) -> str:
        """``database``, or the file in the data directory."""
        return self.database or f"sqlite:///{self.data_folder / 'fleet.sqlite'}"


_SIZES = {"memory-limit", "disk-budget", "upload-limit", "unpacked-limit"}
_NAMES = {field.encode_name: field.name for field in msgspec.structs.fields(Settings)}


def load(
    config: Path | None = None,
    overrides: Mapping[str, object] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """The settings in force.

    :param overrides: by the names of the file; None means "not said"
    :raises UnreadableError: the file that was named is not there, or no TOML
    :raises UsageError: a key that does not exist, or a value that makes no sense
    """
    environment = os.environ if environment is None else environment
    values: dict[str, Any] = {}
    if config is None and environment.get(CONFIG_VARIABLE):
        config = Path(environment[CONFIG_VARIABLE])
    if config is not None or SYSTEM.exists():
        values |= _file(config or SYSTEM)
    for name in _NAMES:
        text = environment.get(_PREFIX + name.upper().replace("-", "_"))
        if text:
            values[name] = text
    values |= {k: v for k, v in (overrides or {}).items() if v is not None}
    for name in _SIZES & values.keys():
        values[name] = size(values[name], name)
    try:
        return msgspec.convert(values, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise UsageError(str(error), thing=str(config or "settings"), slug="bad-setting") from error


def _file(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            values = tomllib.load(stream)
    except OSError as error:
        raise UnreadableError(
            error.strerror or str(error), thing=str(path), slug="no-config"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UnreadableError(f"is no TOML: {error}", thing=str(path), slug="bad-config") from error
    # Tables are other programs' of the family: [web] is the server's.
    return {name: value for name, value in values.items() if not isinstance(value, dict)}


def size(value: object, name: str = "size") -> int:
    """A number of bytes: ``4G``, ``512 MiB``, 1048576.

    :raises UsageError: it is none
    """
    match = _SIZE.fullmatch(str(value).strip())
    if match is None:
        raise UsageError(f"{value!r} is no size", thing=name, hint="as 512M or 4G", slug="bad-size")
    return int(match[1]) << (10 * _POWERS[match[2].upper()])
