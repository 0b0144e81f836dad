"""Save what explains a kernel's dumps: its types and symbols, while it still runs.

HOST is this machine unless it is named; it takes root there, or sudo that asks no password. The kit
is one file named by the kernel's build-id; `report` finds it beside a dump, in the directories of
KAUTOPSY_KIT_PATH and in ~/.local/share/kautopsy/kits. With --from it is made from a vmlinux with
debugging information instead, and keeps its line tables too.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from kautopsy.cli._host_options import add_host
from kautopsy.cli._output import Progress, add_json, print_json
from kautopsy.model.errors import ExitCode, UsageError


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_host(parser, optional=True)
    parser.add_argument(
        "--from", dest="vmlinux", metavar="VMLINUX", type=Path, help="a vmlinux instead of a HOST"
    )
    parser.add_argument(
        "--output", metavar="DIR", type=Path, help="where to put it, instead of among the user's"
    )
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Make a kit, save it, say what it holds."""
    from kautopsy.cli._target import open_target
    from kautopsy.report.escape import one_line
    from kautopsy.symbols import kit, kit_host, kit_vmlinux

    if arguments.vmlinux:
        if arguments.host != "local":
            raise UsageError("is one source of a kit, --from another", thing=arguments.host)
        with Progress(one_line(f"read {arguments.vmlinux}"), quiet=arguments.json):
            made = kit_vmlinux.make(arguments.vmlinux)
    else:
        with (
            Progress(one_line(f"read {arguments.host}"), quiet=arguments.json),
            open_target(arguments.host, jump=arguments.jump, options=arguments.ssh_option) as host,
        ):
            made = kit_host.make(host)
    with Progress("save", quiet=arguments.json):
        saved = kit.save(made, arguments.output or kit.default_folder())
    if arguments.json:
        print_json(saved)
    else:
        print(one_line(saved.path))
        modules = sum(name.startswith("btf/") for name in saved.contents) - 1
        lines = sum(n for name, n in saved.contents.items() if name.startswith("lines/"))
        holds = [f"{len(made.symbols)} symbols", f"types of the kernel and {modules} modules"]
        if lines:
            holds.append(f"source lines ({lines / 1e6:.0f} MB unpacked)")
        print(one_line(f"{saved.release}: {saved.size_bytes / 1e6:.1f} MB, {', '.join(holds)}"))
    return ExitCode.OK
