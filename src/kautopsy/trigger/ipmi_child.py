"""``python -m kautopsy.trigger.ipmi_child``: pyghmi, in a process of its own.

pyghmi keeps all sessions of a process in one global loop, is not made for threads, and shares a
session between a Command and a Console to one BMC (a Console opened with str credentials beside a
Command never connects, and says nothing). In a process of its own nothing of that can hurt, its
waiting can be ended, and the password comes through a pipe.

stdin: one :class:`Job` as a line of JSON; for ``sol`` then lines of :class:`Typed`. stdout: lines
of :class:`Answer`.
"""

from __future__ import annotations

import base64
import contextlib
import os
import select
import sys
import time
from collections.abc import Iterator
from typing import Any

import msgspec

_PRIVILEGES = {"user": 2, "operator": 3, "administrator": 4}
_CHASSIS, _APP = 0x00, 0x06
_CHASSIS_CONTROL, _GET_SYSTEM_GUID, _GET_CHASSIS_STATUS = 0x02, 0x37, 0x01
_PULSE_DIAGNOSTIC_INTERRUPT = 4  # IPMI 2.0, 28.3
_CONNECT_SECONDS = 60.0
_DIAG_SECONDS = 10.0


class Job(msgspec.Struct):
    """What to do: ``status``, ``diag``, ``whose``, ``events`` or ``sol``."""

    do: str
    address: str
    port: int
    user: str
    password: str
    privilege: str


class Typed(msgspec.Struct):
    """What is typed at a console: bytes in base64, or a BREAK."""

    data: str = ""
    send_break: bool = False


class Answer(msgspec.Struct, omit_defaults=True):
    """One thing that was learnt.

    :ivar error: why it did not work, with the BMC's completion code
    :ivar data: of a console, base64
    """

    error: str = ""
    code: int = 0
    said: str = ""
    connected: bool = False
    done: bool = False
    serials: tuple[str, ...] = ()
    uuid: str = ""
    events: tuple[str, ...] = ()
    data: str = ""


def _answer(answer: Answer) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
    sys.stdout.buffer.flush()


def _command(job: Job) -> Any:
    from pyghmi.ipmi.command import Command  # type: ignore[import-untyped]

    return Command(
        bmc=job.address,
        userid=job.user.encode(),
        password=job.password.encode(),
        port=job.port,
        privlevel=_PRIVILEGES[job.privilege],
    )


def _raw(command: Any, netfn: int, number: int, *data: int) -> bytes:
    return _data(command.raw_command(netfn=netfn, command=number, data=data))


def _data(response: dict[str, Any]) -> bytes:
    if "error" in response or response.get("code"):
        code = int(response.get("code", 0))
        raise _RefusedError(str(response.get("error", f"completion code {code:#x}")), code)
    return bytes(response["data"])


class _RefusedError(Exception):
    def __init__(self, words: str, code: int) -> None:
        super().__init__(words)
        self.code = code


def _status(job: Job) -> Answer:
    state = _raw(_command(job), _CHASSIS, _GET_CHASSIS_STATUS)[0]
    return Answer(said="the machine is switched " + ("on" if state & 1 else "off"), done=True)


def _diag(job: Job) -> Answer:
    # Neither Command.set_power() nor retries: they repeat what was not answered, and a second NMI
    # in the capture kernel ends it.
    command = _command(job)
    answers: list[dict[str, Any]] = []
    command.ipmi_session.raw_command(
        netfn=_CHASSIS,
        command=_CHASSIS_CONTROL,
        data=(_PULSE_DIAGNOSTIC_INTERRUPT,),
        retry=False,
        callback=answers.append,
    )
    deadline = time.monotonic() + _DIAG_SECONDS
    while not answers and time.monotonic() < deadline:
        command.wait_for_rsp(0.2)
    if not answers:
        return Answer(said="the BMC did not answer, and may have taken it", done=True)
    _data(answers[0])
    return Answer(said="the BMC took Chassis Control 4 (pulse diagnostic interrupt)", done=True)


def _whose(job: Job) -> Answer:
    from pyghmi.ipmi.fru import FRU  # type: ignore[import-untyped]

    command = _command(job)
    uuid = ""
    # Neither is mandatory: what a BMC does not have is no proof, and no failure.
    with contextlib.suppress(_RefusedError):
        guid = _raw(command, _APP, _GET_SYSTEM_GUID)
        if len(guid) == 16:
            digits = guid.hex()
            uuid = "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
    serials: list[str] = []
    with contextlib.suppress(Exception):
        info = FRU(ipmicmd=command, fruid=0).info or {}
        serials = [str(value).strip() for key, value in info.items() if "erial" in key and value]
    return Answer(serials=tuple(dict.fromkeys(filter(None, serials))), uuid=uuid, done=True)


def _events(job: Job) -> Answer:
    found = []
    for event in _command(job).get_event_log():
        words = (event.get("timestamp"), event.get("component"), event.get("event"))
        found.append(" ".join(str(word) for word in words if word))
    return Answer(events=tuple(found), done=True)


def _sol(job: Job) -> Answer:
    from pyghmi.ipmi.console import Console  # type: ignore[import-untyped]

    failures: list[str] = []

    def take(data: object) -> None:
        if isinstance(data, dict):
            if "error" in data:
                failures.append(str(data["error"]))
            return
        raw = data if isinstance(data, bytes) else str(data).encode()
        _answer(Answer(data=base64.b64encode(raw).decode()))

    console = Console(
        bmc=job.address,
        userid=job.user.encode(),
        password=job.password.encode(),
        iohandler=take,
        port=job.port,
        # A session that somebody's laptop left behind would keep us out.
        force=True,
    )
    deadline = time.monotonic() + _CONNECT_SECONDS
    while not console.connected and not failures and time.monotonic() < deadline:
        console.wait_for_rsp(0.5)
    if not console.connected:
        return Answer(error=failures[0] if failures else "the console never connected")
    _answer(Answer(connected=True))
    for typed in _typed():
        if typed is None:
            break
        for one in typed:
            if one.send_break:
                console.send_break()
            elif one.data:
                console.send_data(base64.b64decode(one.data))
        console.wait_for_rsp(0.2)
        if failures or console.broken:
            return Answer(error=failures[0] if failures else "the session broke")
    console.close()
    return Answer(done=True)


def _typed() -> Iterator[list[Typed] | None]:
    """What has been typed since the last time; None at the end of stdin."""
    rest = b""
    while True:
        lines: list[bytes] = []
        if select.select([0], [], [], 0)[0]:
            data = os.read(0, 65536)
            if not data:
                yield None
                return
            *lines, rest = (rest + data).split(b"\n")
        yield [msgspec.json.decode(line, type=Typed) for line in lines]


def main() -> None:
    """Do the job."""
    # os.read: what is typed behind the job must not vanish in a buffer.
    raw = b""
    while not raw.endswith(b"\n"):
        piece = os.read(0, 1)
        if not piece:
            return
        raw += piece
    job = msgspec.json.decode(raw, type=Job)
    # pyghmi prints here and there.
    ours = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = os.fdopen(ours, "w")
    work = {
        "status": _status,
        "diag": _diag,
        "whose": _whose,
        "events": _events,
        "sol": _sol,
    }[job.do]
    try:
        _answer(work(job))
    except _RefusedError as error:
        _answer(Answer(error=str(error), code=error.code))
    except ImportError as error:
        _answer(Answer(error=f"missing: {error.name}"))
    except Exception as error:
        _answer(Answer(error=str(error) or type(error).__name__, code=_code(error)))


def _code(error: Exception) -> int:
    code = getattr(error, "ipmicode", 0)
    return code if isinstance(code, int) else 0


if __name__ == "__main__":
    main()
