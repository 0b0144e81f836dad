"""Boot a guest and give you a shell in it.

On a terminal you get the guest's serial console; `exit` or Ctrl-] ends the guest. kdump is armed in
it: `echo c > /proc/sysrq-trigger` leaves a dump, which is kept with --out DIR. Without a terminal
the guest boots, one line says so, and the command ends: 0 if it booted, 4 if it was lost.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from kautopsy.cli._guest_options import add_guest
from kautopsy.cli._output import Progress
from kautopsy.cli._signals import clean_up_on_sigterm
from kautopsy.model.errors import ExitCode

if TYPE_CHECKING:
    from kautopsy.lab.guest import Guest

_LEAVE = b"\x1d"  # Ctrl-]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_guest(parser)
    parser.add_argument("--append", default="", metavar="WORDS", help="more kernel command line")
    parser.add_argument(
        "--module", action="append", default=[], metavar="NAME", help="load it; may be repeated"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="keep the dump, if it leaves one")


def run(arguments: argparse.Namespace) -> int:
    """Boot."""
    from kautopsy.lab.config import GuestConfig
    from kautopsy.lab.guest import Guest, State
    from kautopsy.lab.kernels import fetch_kernel

    clean_up_on_sigterm()
    interactive = sys.stdin.isatty() and sys.stdout.isatty()
    with Progress("kernel") as progress:
        kernel = fetch_kernel(arguments.kernel)
        progress.detail = kernel.release
    config = GuestConfig(
        kernel,
        memory_mib=arguments.memory,
        cpus=arguments.cpus,
        append=arguments.append,
        crashkernel=arguments.crashkernel,
        modules=(*GuestConfig.modules, *arguments.module),
        shell=interactive,
    )
    screen = _Screen()
    with Guest(config, tee=screen.show if interactive else None) as guest:
        started = time.monotonic()
        guest.transition(State.ARMED if arguments.crashkernel else State.BOOTED)
        if not interactive:
            seconds = time.monotonic() - started
            print(f"{kernel.release} {guest.state.name.lower()} in {seconds:.1f} s")
            return ExitCode.OK
        size = os.get_terminal_size()
        if size.lines and size.columns:  # some terminals do not tell
            guest.run(f"stty -F /dev/ttyS0 rows {size.lines} cols {size.columns}")
        screen.start()
        print(f"\r\n{kernel.release} under {guest.accelerator}; Ctrl-] ends it\r\n", end="")
        guest.console.write(b"\n")
        _talk(guest)
        if arguments.out is not None:
            arguments.out.mkdir(parents=True, exist_ok=True)
            if guest.take_dump(arguments.out / "vmcore"):
                print(f"its dump is {arguments.out / 'vmcore'}", file=sys.stderr)
    return ExitCode.OK


class _Screen:
    """Shows the console from the moment the shell is ready: the boot is of no interest."""

    def __init__(self) -> None:
        self._started = False

    def start(self) -> None:
        self._started = True

    def show(self, data: bytes) -> None:
        # The guest is ours and just booted from a package; a terminal is what was asked for.
        if self._started:
            os.write(sys.stdout.fileno(), data)


def _talk(guest: Guest) -> None:
    """Pass keys to the guest until it ends or Ctrl-] is pressed."""
    import select
    import termios
    import tty

    stdin = sys.stdin.fileno()
    before = termios.tcgetattr(stdin)
    tty.setraw(stdin)
    try:
        while not guest.console.closed:
            ready, _, _ = select.select([stdin], [], [], 0.2)
            if ready:
                keys = os.read(stdin, 1024)
                if not keys or _LEAVE in keys:
                    break
                guest.console.write(keys)
    finally:
        termios.tcsetattr(stdin, termios.TCSADRAIN, before)
        print()
