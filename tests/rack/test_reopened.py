"""A console that is lost is opened again; one that was refused is not."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from kautopsy.model.errors import UnreachableError
from kautopsy.trigger.console.recording import Recording
from kautopsy.trigger.console.reopened import Reopened
from kautopsy.trigger.console.source import Sink, Source


class _Console:
    """A console in the hands of the test."""

    where = "the BMC"

    def __init__(self, refuses: str = "") -> None:
        self.refuses = refuses
        self.closed = False
        self.typed = b""

    def start(self, recording: Sink) -> None:
        if self.refuses:
            raise UnreachableError(self.refuses)
        self.sink = recording

    def write(self, data: bytes) -> None:
        self.typed += data

    def send_break(self) -> None:
        self.typed += b"BREAK"

    def close(self) -> None:
        self.closed = True


def _give(consoles: list[_Console]) -> Callable[[], Source]:
    left = iter(consoles)
    return lambda: next(left)


def _until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_console_that_is_lost_is_opened_again() -> None:
    first, second, third = _Console(), _Console("no answer"), _Console()
    recording = Recording()
    console = Reopened(_give([first, second, third]), pause=0.01, brief=0.0)
    console.start(recording)
    first.sink.feed(b"BUG: one\n")
    first.sink.end("no response to keepalive")
    _until(lambda: hasattr(third, "sink"))
    third.sink.feed(b"two\n")
    _until(lambda: "two" in recording.text())
    assert first.closed and recording.ended == ""
    lines = recording.text().splitlines()
    assert lines[0] == "BUG: one" and lines[2] == "two"
    assert lines[1] == "[the console was lost (unreachable: no answer); it is open again]"
    console.write(b"c")
    console.send_break()
    assert third.typed == b"cBREAK"
    console.close()
    assert third.closed
    _until(lambda: recording.ended == "closed")


def test_a_console_that_was_refused_is_told_of_at_once() -> None:
    recording = Recording()
    console = Reopened(_give([first := _Console()]), pause=0.01)
    console.start(recording)
    first.sink.feed(b"Error: Unable to establish IPMI v2 / RMCP+ session\n")
    first.sink.end("ipmitool ended with status 1")
    _until(lambda: bool(recording.ended))
    assert recording.ended == "ipmitool ended with status 1"
    console.close()
    with pytest.raises(UnreachableError):
        Reopened(_give([_Console("no such host")])).start(recording)


def test_who_stays_away_too_long_is_given_up() -> None:
    consoles = [_Console(), *(_Console("still away") for _ in range(500))]
    recording = Recording()
    console = Reopened(_give(consoles), pause=0.01, brief=0.0, patience=0.2)
    console.start(recording)
    consoles[0].sink.end("gone")
    _until(lambda: bool(recording.ended))
    assert recording.ended.endswith("still away")
    console.close()
