import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from kautopsy.trigger.qmp import QmpClient, QmpError

# As QEMU 7.2 says it.
GREETING = {"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}}, "capabilities": []}}
EVENT = {"event": "NMI", "timestamp": {"seconds": 1, "microseconds": 2}}


def _line(document: object) -> bytes:
    return json.dumps(document).encode() + b"\r\n"


@contextmanager
def _server(answer: Callable[[dict[str, object]], bytes]) -> Iterator[socket.socket]:
    """A QEMU that answers each command with ``answer(command)``; no bytes hang up."""
    ours, theirs = socket.socketpair()

    def serve() -> None:
        with theirs, theirs.makefile("rb") as lines:
            theirs.sendall(_line(GREETING))
            for line in lines:
                command = json.loads(line)
                if command["execute"] == "qmp_capabilities":
                    theirs.sendall(_line({"return": {}}))
                elif data := answer(command):
                    theirs.sendall(data)
                else:
                    return

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield ours
    finally:
        ours.close()
        thread.join()


def test_an_answer_is_found_behind_events() -> None:
    with (
        _server(lambda command: _line(EVENT) + _line({"return": {"status": "running"}})) as server,
        QmpClient(server) as qmp,
    ):
        assert qmp.execute("query-status") == {"status": "running"}
        assert qmp.events == ("NMI",)


def test_arguments_are_passed() -> None:
    seen: list[dict[str, object]] = []

    def answer(command: dict[str, object]) -> bytes:
        seen.append(command)
        return _line({"return": {}})

    with _server(answer) as server, QmpClient(server) as qmp:
        qmp.execute("device_del", id="net0")
    assert seen == [{"execute": "device_del", "arguments": {"id": "net0"}}]


def test_a_refusal_is_an_error_in_qemus_words() -> None:
    refusal = {"error": {"class": "CommandNotFound", "desc": "The command x has not been found"}}
    with (
        _server(lambda command: _line(refusal)) as server,
        QmpClient(server) as qmp,
        pytest.raises(QmpError, match="The command x has not been found"),
    ):
        qmp.execute("x")


def test_hanging_up_is_an_error() -> None:
    with (
        _server(lambda command: b"") as server,
        QmpClient(server) as qmp,
        pytest.raises(QmpError, match="hung up"),
    ):
        qmp.execute("quit")


@pytest.mark.parametrize("nonsense", [b"SSH-2.0\r\n", b"[1]\r\n", b'{"hello": 1}\r\n'])
def test_something_else_is_told_apart(nonsense: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(nonsense)
        with pytest.raises(QmpError):
            QmpClient(ours)


def test_silence_ends() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(QmpError, match="no answer"):
        QmpClient(ours, timeout=0.05)
