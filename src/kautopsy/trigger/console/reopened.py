"""A console over a network that is opened again when it is lost.

Serial over LAN ends when a BMC leaves a keepalive unanswered, when a jump host's connection breaks,
or when somebody else takes the session; the machine goes on dying meanwhile.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from kautopsy.model.errors import KautopsyError
from kautopsy.trigger.console.source import Sink, Source

_PAUSE = 2.0
_LONGEST_PAUSE = 30.0
_BRIEF = 10.0
"""Seconds: a console that ends sooner was refused rather than lost."""
_PATIENCE = 600.0
"""Seconds of trying in vain."""


class _Tap:
    """What one of the sources feeds; ``why`` it ended, if it has."""

    def __init__(self, owner: Reopened) -> None:
        self._owner = owner
        self.why = ""

    def feed(self, data: bytes) -> None:
        self._owner.take(data)

    def end(self, why: str) -> None:
        self.why = why or "it ended"
        self._owner.lost(self)


class Reopened:
    """A :class:`~kautopsy.trigger.console.source.Source` made of others, one after the other.

    What is lost in between is marked in the recording by a line in brackets.

    :param make: gives a new one, not yet started
    """

    def __init__(
        self,
        make: Callable[[], Source],
        *,
        pause: float = _PAUSE,
        brief: float = _BRIEF,
        patience: float = _PATIENCE,
    ) -> None:
        self._make = make
        self._pause = pause
        self._brief = brief
        self._patience = patience
        self._source = make()
        self.where = self._source.where
        self._sink: Sink | None = None
        self._tap: _Tap | None = None
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._opened = 0.0
        self._lost_at: float | None = None
        self._thread: threading.Thread | None = None

    def start(self, recording: Sink) -> None:
        """See :meth:`Source.start`; the first time, what goes wrong is an error."""
        self._sink = recording
        tap = _Tap(self)
        self._source.start(tap)
        self._use(self._source, tap)
        if tap.why:
            self.lost(tap)

    def write(self, data: bytes) -> None:
        """See :meth:`Source.write`."""
        self._source.write(data)

    def send_break(self) -> None:
        """See :meth:`Source.send_break`."""
        self._source.send_break()

    def close(self) -> None:
        """See :meth:`Source.close`."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self._source.close()
        if self._sink is not None:
            self._sink.end("closed")

    def take(self, data: bytes) -> None:
        """Bytes of whichever source is open."""
        if self._sink is not None:
            self._sink.feed(data)

    def lost(self, tap: _Tap) -> None:
        """A source has ended: open another, unless another was opened already."""
        with self._lock:
            if tap is not self._tap or self._stop.is_set():
                return
            self._tap = None
            if time.monotonic() - self._opened >= self._brief:
                self._lost_at = time.monotonic()
            self._thread = threading.Thread(target=self._again, args=(tap.why,), daemon=True)
            self._thread.start()

    def _use(self, source: Source, tap: _Tap) -> bool:
        """Make it the one that counts; False if it has ended already."""
        with self._lock:
            self._source, self._tap = source, tap
            self._opened = time.monotonic()
            return not tap.why

    def _again(self, why: str) -> None:
        assert self._sink is not None
        # Its thread, which told us, has nothing more to do.
        self._source.close()
        pause = self._pause
        while not self._stop.wait(pause):
            pause = min(1.5 * pause, _LONGEST_PAUSE)
            if self._lost_at is None or time.monotonic() - self._lost_at > self._patience:
                self._sink.end(why)
                return
            tap = _Tap(self)
            try:
                source = self._make()
                source.start(tap)
            except KautopsyError as error:
                why = str(error)
                continue
            if self._use(source, tap):
                mark = f"[the console was lost ({why}); it is open again]"
                self._sink.feed(f"\r\n{mark}\r\n".encode())
                return
            source.close()
            why = tap.why
