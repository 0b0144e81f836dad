"""Ways that are another tool's command: libvirt's virsh, and the clouds' own.

Each tool has its own configuration and credentials, and nothing here repeats them.
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Sequence

from kautopsy.host.inventory import Cloud, Libvirt
from kautopsy.host.local import run_here
from kautopsy.model.errors import (
    MissingToolError,
    RefusedError,
    UnreachableError,
    UsageError,
)
from kautopsy.trigger.look import clean_uuid
from kautopsy.trigger.way import Ability, Effect, Whose

_PATIENCE = 120.0
_REFUSED = (
    "accessdenied",
    "access denied",
    "unauthorized",
    "not authorized",
    "permission",
    "forbidden",
    "authorizationfailed",
    "policy doesn't allow",
)


def ask_program(argv: Sequence[str], thing: str, *, fine: Sequence[str] = ()) -> str:
    """What a tool printed.

    :param fine: words of a failure that is none
    :raises KautopsyError: it failed, in its own words
    """
    done = run_here(list(argv), timeout=_PATIENCE, name=thing)
    words = done.stderr.decode(errors="replace").strip() or done.text.strip()
    if done.status and not any(word in words for word in fine):
        last = " ".join(words.split())[-300:] or f"status {done.status}"
        if any(word in words.lower() for word in _REFUSED):
            raise RefusedError(f"{argv[0]}: {last}", thing=thing, slug="not-allowed")
        raise UnreachableError(f"{argv[0]}: {last}", thing=thing, slug="tool-failed")
    return done.text.strip() or words


class LibvirtWay:
    """``virsh inject-nmi``, here or over ``qemu+ssh``."""

    name = "libvirt"
    effect = Effect.NMI

    def __init__(self, domain: Libvirt) -> None:
        self._domain = domain
        self._where = f"libvirt domain {domain.domain} at {domain.uri}"
        self.what = shlex.join(self._argv("inject-nmi"))

    def _argv(self, command: str) -> list[str]:
        return ["virsh", "-q", "-c", self._domain.uri, command, "--domain", self._domain.domain]

    def can(self) -> Ability:
        """See :meth:`kautopsy.trigger.way.Way.can`."""
        state = ask_program(self._argv("domstate"), self._where)
        if state not in ("running", "blocked", "no state"):
            return Ability(False, f"the domain is {state}")
        return Ability(True, f"the domain is {state}")

    def whose(self) -> Whose | None:
        """See :meth:`kautopsy.trigger.way.Way.whose`."""
        uuid = clean_uuid(ask_program(self._argv("domuuid"), self._where))
        return Whose(by=self._where, uuid=uuid, pinned=self._where)

    def fire(self) -> str:
        """See :meth:`kautopsy.trigger.way.Way.fire`."""
        return ask_program(self._argv("inject-nmi"), self._where) or "virsh reported success"


class CloudWay:
    """A cloud's diagnostic interrupt, by its own command line tool."""

    effect = Effect.NMI

    def __init__(self, cloud: Cloud) -> None:
        if cloud.instance.startswith("-"):
            raise UsageError("is no name of an instance", thing=cloud.instance)
        self.name = cloud.kind
        self._cloud = cloud
        self._where = f"{cloud.kind} instance {cloud.instance}"
        self.what = shlex.join(self._fire())

    def can(self) -> Ability:
        """See :meth:`kautopsy.trigger.way.Way.can`."""
        if shutil.which(self._ask()[0]) is None:
            raise MissingToolError("is not installed", thing=self._ask()[0])
        # AWS's dry run is an error that says that it would have worked.
        said = ask_program(self._ask(), self._where, fine=("DryRunOperation",))
        lines = said.splitlines() or [""]
        state = lines[-1].strip().strip('"')
        if "DryRunOperation" in said:
            return Ability(True, "the dry run would have succeeded")
        good = state.upper() in ("RUNNING", "ACTIVE", "VM RUNNING")
        return Ability(good, f"the instance is {state or 'unknown'}")

    def whose(self) -> Whose | None:
        """See :meth:`kautopsy.trigger.way.Way.whose`; an instance's id is its only address."""
        return Whose(by=self._where, pinned=self._cloud.instance)

    def fire(self) -> str:
        """See :meth:`kautopsy.trigger.way.Way.fire`."""
        return ask_program(self._fire(), self._where) or f"{self.name} reported success"

    def _fire(self) -> list[str]:
        cloud = self._cloud
        match cloud.kind:
            case "aws":
                return [
                    *("aws", "ec2", "send-diagnostic-interrupt"),
                    *("--instance-id", cloud.instance),
                    *_option("--region", cloud.region),
                    *_option("--profile", cloud.profile),
                ]
            case "gcloud":
                return [
                    *("gcloud", "compute", "instances", "send-diagnostic-interrupt"),
                    cloud.instance,
                    *_option("--zone", cloud.zone),
                    *_option("--project", cloud.project),
                    "--quiet",
                ]
            case "az":
                return [
                    *("az", "serial-console", "send", "nmi"),
                    *("--name", cloud.instance),
                    *_option("--resource-group", cloud.group),
                ]
            case _:
                return [
                    "openstack",
                    *_option("--os-cloud", cloud.profile),
                    *("--os-compute-api-version", "2.17"),
                    *("server", "dump", "create", cloud.instance),
                ]

    def _ask(self) -> list[str]:
        cloud = self._cloud
        match cloud.kind:
            case "aws":
                return [*self._fire(), "--dry-run"]
            case "gcloud":
                return [
                    *("gcloud", "compute", "instances", "describe", cloud.instance),
                    *_option("--zone", cloud.zone),
                    *_option("--project", cloud.project),
                    "--format=value(status)",
                ]
            case "az":
                return [
                    *("az", "vm", "get-instance-view", "--name", cloud.instance),
                    *_option("--resource-group", cloud.group),
                    *("--query", "instanceView.statuses[1].displayStatus", "--output", "tsv"),
                ]
            case _:
                return [
                    "openstack",
                    *_option("--os-cloud", cloud.profile),
                    *("server", "show", cloud.instance, "-f", "value", "-c", "status"),
                ]


def _option(name: str, value: str) -> tuple[str, ...]:
    return (name, value) if value else ()
