"""Commands in a guest, over its second serial port; the other end is ``inside/init.sh``."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from kautopsy.lab.console import SerialPort

# A tty holds 4096 bytes; BASE64 of this many, and the verb before it, fit.
_CHUNK = 2400
_DONE = re.compile(r"^done (\d+)$")


@dataclass(frozen=True)
class CommandResult:
    """How a command ended; ``output`` is stdout and stderr as they came."""

    status: int
    output: str


class GuestShell:
    """Speaks the protocol of ``init.sh``.

    :param wait: blocks until the predicate holds, and raises if the guest is lost before
    """

    def __init__(
        self, port: SerialPort, wait: Callable[[Callable[[], bool], float, str], None]
    ) -> None:
        self._port = port
        self._wait = wait
        self._read_up_to = len(port.whole_lines())

    def run(self, command: str, *, limit: float) -> CommandResult:
        """Run shell text and wait for its end."""
        self.send(command, limit=limit)
        output: list[str] = []
        status: list[int] = []

        def ended() -> bool:
            for line in self._fresh():
                if line.startswith("output "):
                    output.append(line.removeprefix("output "))
                elif match := _DONE.match(line):
                    status.append(int(match[1]))
            return bool(status)

        self._wait(ended, limit, f"command {command[:60]!r}")
        text = base64.b64decode("".join(output)).decode(errors="replace")
        return CommandResult(status[0], text)

    def send(self, command: str, *, limit: float) -> None:
        """Start shell text and return at once: for what the guest does not survive."""
        data = command.encode() + b"\n"
        for start in range(0, len(data), _CHUNK):
            chunk = base64.b64encode(data[start : start + _CHUNK])
            self._port.write(b"data " + chunk + b"\n")
            self._wait(lambda: "ok" in self._fresh(), limit, "the guest's shell")
        self._port.write(b"run\n")

    def line(self, prefix: str, *, limit: float) -> str:
        """Wait for a line that a running command wrote to the port, and return what follows."""
        found: list[str] = []

        def seen() -> bool:
            found.extend(
                line.removeprefix(prefix) for line in self._fresh() if line.startswith(prefix)
            )
            return bool(found)

        self._wait(seen, limit, f"a line {prefix!r}")
        return found[0].strip()

    def tell(self, text: str) -> None:
        """Give a line to a running command that reads the port."""
        self._port.write(text.encode() + b"\n")

    def _fresh(self) -> Iterator[str]:
        # Only whole lines: the port shows an unfinished one too.
        for line in self._port.whole_lines(self._read_up_to):
            self._read_up_to += 1
            yield line
