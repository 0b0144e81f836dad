"""What the operator of the server may set: TOML, the environment, the command line."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any, get_type_hints

import msgspec

from kautopsy.fleet.nouns import Role
from kautopsy.model.errors import UsageError

PREFIX = "KAUTOPSY_WEB_"


class WebConfig(
    msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True
):
    """The table ``[web]`` of the configuration, or ``KAUTOPSY_WEB_*`` in the environment.

    :param public_url: as people reach the server; its scheme decides whether cookies are Secure,
        and links in notices begin with it
    :param proxy_header: in which a proxy says who is logged in (OIDC); empty: local accounts only
    :param proxy_role: of people that the proxy brings for the first time
    :param trusted_proxies: addresses from which that header, and X-Forwarded-For, are believed
    :param snapshots: directory of snapshots that the SQL page asks; empty: no such page
    :param webhook: address that is told of new groups and regressions (POST, JSON)
    :param notices_per_hour: more wait for the next hour
    """

    listen: str = "127.0.0.1"
    port: int = 8470
    public_url: str = "http://127.0.0.1:8470"
    session_hours: float = 12.0
    proxy_header: str = ""
    proxy_role: Role = Role.VIEWER
    trusted_proxies: tuple[str, ...] = ()
    snapshots: str = ""
    webhook: str = ""
    mail_to: tuple[str, ...] = ()
    mail_from: str = "kautopsy@localhost"
    smtp: str = "localhost:25"
    notices_per_hour: int = 20
    log_format: str = "text"

    def __post_init__(self) -> None:
        if not self.public_url.startswith(("http://", "https://")):
            raise ValueError("public_url is no address of the web")
        if self.log_format not in ("text", "json"):
            raise ValueError("log_format is text or json")
        if self.proxy_role is Role.HOST:
            raise ValueError("proxy_role is a person's: viewer, triager or admin")
        if self.proxy_header and not self.trusted_proxies:
            # Anybody who reaches the port could say who he is, other users of this machine too.
            raise ValueError("proxy_header needs trusted_proxies: the addresses of the proxies")

    @property
    def secure(self) -> bool:
        """Whether people come over TLS."""
        return self.public_url.startswith("https://")


def load(file: Path | None = None, **overrides: Any) -> WebConfig:
    """Read the configuration: file, then environment, then ``overrides`` that are not None.

    :raises UsageError: a setting that there is not, or a value that makes no sense
    """
    values: dict[str, Any] = {}
    if file is not None:
        try:
            document = tomllib.loads(file.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise UsageError(str(error), thing=str(file), slug="bad-config") from error
        table = document.get("web", {})
        if not isinstance(table, dict):
            raise UsageError("[web] is no table", thing=str(file), slug="bad-config")
        values |= table
    hints = get_type_hints(WebConfig)
    for name, hint in hints.items():
        text = os.environ.get(PREFIX + name.upper())
        if text is not None:
            values[_kebab(name)] = text.split(",") if hint == tuple[str, ...] else text
    values |= {_kebab(name): value for name, value in overrides.items() if value is not None}
    try:
        # Not strict: the environment has text only.
        return msgspec.convert(values, WebConfig, strict=False)
    except msgspec.ValidationError as error:
        thing = str(file) if file is not None else PREFIX + "*"
        raise UsageError(str(error), thing=thing, slug="bad-config") from error


def _kebab(name: str) -> str:
    return name.replace("_", "-")
