"""Make a machine leave a dump: the plan, and with --apply the deed.

HOST is local, [user@]host over ssh, tree:DIR (a directory that holds a machine's files) or
lab:NAME. Without --apply nothing changes: every file's diff and every command is shown, each with
its undo. With it they are done in order, the undo of each on the machine's disk before it; if one
fails, or this program is killed, all of it is taken back. `kautopsy disarm HOST` takes it back any
day.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from kautopsy.cli._host_options import add_host, confirm, teller
from kautopsy.cli._output import add_json, print_json
from kautopsy.model.errors import ExitCode, KautopsyError, RefusedError, UsageError
from kautopsy.report.escape import one_line

if TYPE_CHECKING:
    from kautopsy.arming.deeds import Work
    from kautopsy.arming.policy import Policy
    from kautopsy.host.host import Host
    from kautopsy.model.host import HostFacts


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_host(parser, optional=False)
    deed = parser.add_mutually_exclusive_group()
    deed.add_argument("--apply", action="store_true", help="do it")
    deed.add_argument(
        "--emit",
        choices=("ansible", "shell", "ignition", "butane", "cloud-init", "kickstart"),
        help="print the plan for another tool instead",
    )
    parser.add_argument("--yes", action="store_true", help="do not ask before")
    parser.add_argument(
        "--policy", type=Path, metavar="FILE", help="what is wanted, as TOML (docs/arm.md)"
    )
    parser.add_argument(
        "--crashkernel",
        metavar="VALUE",
        help="how much memory to reserve: a value of crashkernel=, auto (the default) or keep",
    )
    parser.add_argument(
        "--target",
        metavar="PLACE",
        help="where dumps go: /path, nfs://server/export or ssh://user@server/path",
    )
    parser.add_argument("--collector", metavar="COMMAND", help="makedumpfile with its arguments")
    parser.add_argument(
        "--sysctl",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="set one more, or another value; NAME= leaves it alone; repeatable",
    )
    parser.add_argument(
        "--not-now",
        action="store_true",
        help="change nothing of the running system: only what counts from the next boot on",
    )
    parser.add_argument(
        "--no-kit", action="store_true", help="with --apply: save no symbol kit of the kernel"
    )
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Plan, show, and apply."""
    from kautopsy.arming import journal
    from kautopsy.arming.apply import apply, recover, unfinished
    from kautopsy.arming.plan import look_and_plan
    from kautopsy.cli._output import Progress
    from kautopsy.cli._signals import clean_up_on_sigterm
    from kautopsy.cli._target import open_target
    from kautopsy.model.plan import Plan
    from kautopsy.report.plan import print_plan

    clean_up_on_sigterm()
    policy = _policy(arguments)
    tell = teller(quiet=arguments.json)
    with open_target(arguments.host, jump=arguments.jump, options=arguments.ssh_option) as host:
        pending = journal.load(host)
        if arguments.apply:
            pending = recover(host, tell)
        with Progress(f"look at {host.name}", quiet=arguments.json):
            facts, work = look_and_plan(host, policy)
        document = Plan(
            steps=tuple(deed.step() for deed in work.deeds),
            notes=work.notes,
            manual=work.manual,
            reboot=work.reboot,
            unfinished=pending is not None and unfinished(pending),
        )
        name = facts.node or arguments.host
        if arguments.emit:
            print(_emitted(arguments.emit, facts, policy, work), end="")
            return ExitCode.OK
        if arguments.json:
            print_json(document)
        else:
            print_plan(document, name)
        if not arguments.apply:
            return ExitCode.OK
        _refuse_what_cannot_be(host, facts, work)
        if work.deeds:
            if not confirm(f"Change {name} like this?", yes=arguments.yes):
                return ExitCode.OK
            apply(host, work, tell)
            tell(f"done; `kautopsy disarm {arguments.host}` takes it back")
        if host.live and not arguments.no_kit:
            _save_kit(host, quiet=arguments.json)
    return ExitCode.OK


def _refuse_what_cannot_be(host: Host, facts: HostFacts, work: Work) -> None:
    """Say no before the question, not after it."""
    name = facts.node or host.name
    if not work.known:
        raise RefusedError(
            "its distribution is not known: nothing was changed",
            thing=name,
            hint="the plan above says what to do by hand",
            slug="unknown-distribution",
        )
    if work.deeds and host.live and not facts.root:
        raise RefusedError(
            "only root can change it",
            thing=name,
            hint="log in as root, or have sudo work without a password",
            slug="not-root",
        )


def _emitted(form: str, facts: HostFacts, policy: Policy, work: Work) -> str:
    """The plan for another tool."""
    from kautopsy.arming.emit import ansible, cloud_init, ignition, kickstart, shell
    from kautopsy.arming.emit.what import goals_of

    goals = goals_of(facts, policy, work)
    return {
        "ansible": ansible.playbook,
        "shell": shell.script,
        "ignition": ignition.ignition,
        "butane": ignition.butane,
        "cloud-init": cloud_init.user_data,
        "kickstart": kickstart.kickstart,
    }[form](goals)


def _policy(arguments: argparse.Namespace) -> Policy:
    """The policy's file, and over it what the command line says."""
    import msgspec

    from kautopsy.arming.policy import checked, load

    policy = load(arguments.policy)
    sysctl: dict[str, str | int | bool] = dict(policy.sysctl)
    for word in arguments.sysctl:
        name, equals, value = word.partition("=")
        if not equals:
            raise UsageError("is not NAME=VALUE", thing=word)
        sysctl[name.strip()] = value.strip() or False
    return checked(
        msgspec.structs.replace(
            policy,
            sysctl=sysctl,
            crashkernel=arguments.crashkernel or policy.crashkernel,
            target=arguments.target or policy.target,
            collector=arguments.collector or policy.collector,
            now=policy.now and not arguments.not_now,
        )
    )


def _save_kit(host: Host, *, quiet: bool) -> None:
    """Types and symbols of the kernel, while it still runs; their lack is no failure of arming."""
    from kautopsy.cli._output import Progress
    from kautopsy.symbols import kit, kit_host

    try:
        with Progress("save a symbol kit", quiet=quiet) as progress:
            saved = kit.save(kit_host.make(host), kit.default_folder())
            progress.detail = saved.path
    except KautopsyError as error:
        print(one_line(f"kautopsy: no symbol kit: {error}"), file=sys.stderr)
