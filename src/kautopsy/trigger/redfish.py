"""Redfish's ``ComputerSystem.Reset`` with ``Nmi``, by sushy.

What a BMC says it allows is looked at and not trusted: simulators advertise Nmi and answer 501, and
some BMCs do it without a word. The certificate is verified unless the inventory says otherwise, and
behind a jump host it is still the BMC's own name that must be in it.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from kautopsy.host.inventory import Bmc
from kautopsy.host.ssh import SshHost
from kautopsy.model.errors import (
    KautopsyError,
    MissingToolError,
    RefusedError,
    UnreachableError,
    UnreadableError,
)
from kautopsy.trigger.look import clean_serial, clean_uuid
from kautopsy.trigger.way import Ability, Effect, Whose

_CONNECT_SECONDS = 10
_READ_SECONDS = 60
_TRIES = 3
_NMI = "Nmi"


class RedfishWay:
    """The NMI through a BMC's Redfish service.

    :param jump: the host through which its web server is reached
    """

    name = "redfish"
    effect = Effect.NMI

    def __init__(self, bmc: Bmc, jump: SshHost | None = None) -> None:
        self._bmc = bmc
        self._jump = jump
        self._url = bmc.redfish or f"https://{bmc.address}"
        through = f" through {jump.name}" if jump is not None else ""
        self._where = f"Redfish of {self._url}{through}"
        self.what = f"POST ComputerSystem.Reset {{ResetType: Nmi}} at {self._where}"

    def can(self) -> Ability:
        """See :meth:`kautopsy.trigger.way.Way.can`."""
        with self._system() as system:
            allowed = self._allowed(system)
            state = str(system.power_state.value if system.power_state else "in an unknown state")
            name = f"{system.identity} is {state.lower()}"
        if state == "Off":
            return Ability(False, name)
        if allowed is None:
            return Ability(None, f"{name}; it does not say which resets it allows")
        if _NMI not in allowed:
            return Ability(None, f"{name}; Nmi is not among its resets ({', '.join(allowed)})")
        return Ability(True, f"{name}; Nmi is among its resets, which proves nothing yet")

    def whose(self) -> Whose | None:
        """See :meth:`kautopsy.trigger.way.Way.whose`."""
        with self._system() as system:
            serial = clean_serial(system.serial_number)
            return Whose(
                by=self._where,
                serials=(serial,) if serial else (),
                uuid=clean_uuid(system.uuid),
                names=(str(system.hostname),) if system.hostname else (),
            )

    def fire(self) -> str:
        """See :meth:`kautopsy.trigger.way.Way.fire`."""
        with self._system() as system:
            try:
                target = system._get_reset_action_element().target_uri
            except Exception:
                raise RefusedError(
                    "has no ComputerSystem.Reset", thing=self._where, slug="bmc-cannot"
                ) from None
            # sushy repeats whatever is not answered in time, and a second NMI in the capture kernel
            # ends it: one try, over a connection that nobody has closed yet.
            system._conn._server_side_retries = 1
            system._conn._session.close()
            # Not reset_system(): that believes the list of allowed values.
            response = system._conn.post(target, data={"ResetType": _NMI})
            return f"{self._where} answered {response.status_code}"

    @staticmethod
    def _allowed(system: Any) -> list[str] | None:
        """The advertised reset types; None where there is no list (then it may be anything)."""
        actions = (system.json or {}).get("Actions") or {}
        reset = actions.get("#ComputerSystem.Reset") or {}
        values = reset.get("ResetType@Redfish.AllowableValues")
        return [str(value) for value in values] if isinstance(values, list) else None

    @contextlib.contextmanager
    def _system(self) -> Iterator[Any]:
        """The ComputerSystem, reached; failures of all the libraries below are named.

        :raises KautopsyError: it cannot be reached, or does not let us
        """
        try:
            import requests
            import sushy  # type: ignore[import-untyped]
            from sushy import auth, connector
            from sushy import exceptions as failures
        except ImportError:
            raise MissingToolError(
                "sushy is not installed", thing=self._where, hint="pip install 'kautopsy[bmc]'"
            ) from None
        logging.getLogger("sushy").setLevel(logging.CRITICAL)
        password = self._bmc.password.reveal() if self._bmc.password else ""
        verify: bool | str = self._bmc.verify
        if self._bmc.verify and self._bmc.ca:
            verify = str(Path(self._bmc.ca).expanduser())
            if not Path(verify).exists():
                raise UnreadableError("no such file", thing=verify, slug="no-certificate")
        try:
            with self._reach() as (url, name):
                connection = connector.Connector(
                    url,
                    verify=verify,
                    server_side_retries=_TRIES,
                    server_side_retries_delay=1,
                    default_request_timeout=_READ_SECONDS,
                    connect_timeout=_CONNECT_SECONDS,
                )
                if name is not None:
                    connection._session.mount("https://", _for_name(name))
                login = auth.SessionOrBasicAuth(username=self._bmc.user, password=password)
                root = sushy.Sushy(url, connector=connection, auth=login)
                try:
                    yield self._find(root)
                finally:
                    with contextlib.suppress(Exception):
                        login.close()
                    root._auth = None
                    connection.close()
        except KautopsyError:
            raise
        except failures.AccessError as error:
            raise self._refused(error) from None
        except failures.HTTPError as error:
            raise self._http(error) from None
        except (failures.SushyError, requests.exceptions.RequestException, OSError) as error:
            raise self._unreachable(error) from None

    def _find(self, root: Any) -> Any:
        systems = root.get_system_collection().get_members()
        wanted = self._bmc.system
        if wanted:
            systems = [s for s in systems if wanted in (s.identity, s.path, s.name)]
        if len(systems) != 1:
            raise UnreadableError(
                f"has {len(systems)} systems" + (f" called {wanted}" if wanted else ""),
                thing=self._where,
                hint="name one of them: bmc.system in the inventory",
                slug="which-system",
            )
        return systems[0]

    @contextlib.contextmanager
    def _reach(self) -> Iterator[tuple[str, str | None]]:
        """The URL to ask, and the name that the certificate is for where the URL has another."""
        if self._jump is None:
            yield self._url, None
            return
        parts = urlsplit(self._url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        with self._jump.tunnel(parts.hostname or "", port) as ours:
            yield f"{parts.scheme}://127.0.0.1:{ours}", parts.hostname

    def _refused(self, error: Any) -> KautopsyError:
        if getattr(error, "status_code", 0) == 403:
            return RefusedError(
                "this user may not do it", thing=self._where, slug="bmc-privilege",
                hint="it needs the privilege ConfigureComponents, or the role Operator",
            )  # fmt: skip
        return UnreachableError(
            "the BMC does not know this user with this password",
            thing=self._where,
            hint="look what the inventory's password leads to",
            slug="bmc-password",
        )

    def _http(self, error: Any) -> KautopsyError:
        status = getattr(error, "status_code", 0)
        words = " ".join(_said(error).split())[:300]
        if status in (400, 404, 405, 409, 501):
            return RefusedError(
                f"it does not do it: HTTP {status}: {words}",
                thing=self._where,
                hint="try --via ipmi: what Redfish advertises is not always there",
                slug="bmc-cannot",
            )
        return UnreachableError(
            f"HTTP {status}: {words}",
            thing=self._where,
            hint="its firmware may be busy, or may need a restart; try again, or --via ipmi",
            slug="bmc-busy",
        )

    def _unreachable(self, error: Exception) -> KautopsyError:
        words = " ".join(str(error).split())
        if "CERTIFICATE_VERIFY_FAILED" in words or "doesn't match" in words:
            return UnreachableError(
                f"its certificate is not trusted: {words[-200:]}",
                thing=self._where,
                hint="name its certificate, or its authority's: bmc.ca in the inventory",
                slug="bmc-certificate",
            )
        return UnreachableError(
            words[-300:],
            thing=self._where,
            hint="is its address right? its network may be behind a jump host: bmc.jump",
            slug="bmc-silent",
        )


def _said(error: Any) -> str:
    """The BMC's own words: of its extended information rather than "see ExtendedInfo"."""
    more = getattr(error, "extended_info", None)
    entries = more if isinstance(more, list) else [more]
    messages = [str(e["Message"]) for e in entries if isinstance(e, dict) and e.get("Message")]
    return " ".join(messages) or str(getattr(error, "detail", "") or error)


def _for_name(name: str) -> Any:
    """An adapter whose TLS asks for, and verifies, ``name`` whatever the URL says."""
    from requests.adapters import HTTPAdapter

    class Adapter(HTTPAdapter):
        def init_poolmanager(self, *args: Any, **keywords: Any) -> None:
            super().init_poolmanager(*args, server_hostname=name, assert_hostname=name, **keywords)

    return Adapter()
