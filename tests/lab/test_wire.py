"""The transport of a serial port: nothing is lost, and the end is told from silence."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from kautopsy.lab.wire import Wire


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[Wire]:
    wire = Wire(tmp_path / "console")
    yield wire
    wire.close()


def as_qemu(path: Path) -> int:
    """The descriptor that ``-chardev pipe`` writes to (chardev/char-pipe.c)."""
    return os.open(f"{path}.out", os.O_RDWR | os.O_NONBLOCK)


def test_a_burst_of_single_bytes_waits_for_a_reader_that_is_late(wire: Wire) -> None:
    # A Unix socket refuses the 279th; a panic with its backtraces has some 10,000.
    guest = as_qemu(wire.path)
    said = os.urandom(50_000)
    for byte in said:
        assert os.write(guest, bytes([byte])) == 1
    heard = b""
    while len(heard) < len(said):
        heard += wire.recv(4096)
    assert heard == said
    os.close(guest)


def test_silence_before_qemu_starts_is_not_the_end(wire: Wire) -> None:
    heard: list[bytes] = []
    reader = threading.Thread(target=lambda: heard.append(wire.recv(10)))
    reader.start()
    reader.join(0.2)
    assert reader.is_alive()
    guest = as_qemu(wire.path)
    os.write(guest, b"Linux")
    reader.join(5)
    assert heard == [b"Linux"]
    os.close(guest)
    assert wire.recv(10) == b""


def test_shutdown_wakes_who_reads(wire: Wire) -> None:
    heard: list[bytes] = []
    reader = threading.Thread(target=lambda: heard.append(wire.recv(10)))
    reader.start()
    wire.shutdown(0)
    reader.join(5)
    assert heard == [b""]


def test_what_is_typed_arrives_and_a_second_start_is_fine(wire: Wire, tmp_path: Path) -> None:
    guest = os.open(f"{wire.path}.in", os.O_RDWR | os.O_NONBLOCK)
    wire.sendall(b"data bHM=\n")
    assert os.read(guest, 100) == b"data bHM=\n"
    os.close(guest)
    wire.close()
    Wire(tmp_path / "console").close()
