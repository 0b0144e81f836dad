import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from kautopsy.lab.console import SerialPort


class Wire:
    def __init__(self, log: Path) -> None:
        self.news = threading.Condition()
        ours, self.guest = socket.socketpair()
        self.seen = bytearray()
        self.port = SerialPort(ours, news=self.news, log=log, tee=self.seen.extend)

    def until(self, text: str) -> None:
        with self.news:
            assert self.news.wait_for(lambda: any(text in t for t in self.port.texts), 10)


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[Wire]:
    wire = Wire(tmp_path / "console.log")
    yield wire
    wire.guest.close()
    wire.port.close()


def test_lines_are_put_together_from_pieces(wire: Wire, tmp_path: Path) -> None:
    for piece in (b"[    0.0", b"00000] Linux\r\nsecond\r", b"\nthi", b"rd"):
        wire.guest.sendall(piece)
    wire.until("third")
    assert wire.port.texts == ["[    0.000000] Linux", "second", "third"]
    assert wire.port.whole_lines() == ["[    0.000000] Linux", "second"]
    assert bytes(wire.seen) == b"[    0.000000] Linux\r\nsecond\r\nthird"
    assert (tmp_path / "console.log").read_bytes() == bytes(wire.seen)


def test_time_goes_forward(wire: Wire) -> None:
    wire.guest.sendall(b"one\n")
    wire.until("one")
    wire.guest.sendall(b"two\n")
    wire.until("two")
    first, second = wire.port.lines
    assert 0 <= first.seconds < second.seconds


def test_the_end_is_seen(wire: Wire) -> None:
    wire.guest.close()
    with wire.news:
        assert wire.news.wait_for(lambda: wire.port.closed, 10)
    wire.port.write(b"into the void")


def test_find_starts_where_it_is_told(wire: Wire) -> None:
    wire.guest.sendall(b"Linux version 6\npanic\nLinux version 6\nend\n")
    wire.until("end")
    pattern = re.compile("Linux version")
    assert wire.port.find(pattern) == 0
    assert wire.port.find(pattern, 1) == 2
    assert wire.port.find(pattern, 3) is None


def test_bytes_that_are_no_text_do_not_hurt(wire: Wire) -> None:
    wire.guest.sendall(b"\xff\xfe\n")
    wire.until("\ufffd")
