"""Wait for what a console tells."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from kautopsy.model.trigger import ConsoleEvent, ConsoleEventKind
from kautopsy.trigger.console.recogniser import Recogniser
from kautopsy.trigger.console.recording import ConsoleLine, Recording

OnEvent = Callable[[ConsoleEvent], None]
_SETTLED = 1.0
"""Seconds after which a line without an end is taken for a prompt."""


@dataclass
class ConsoleWatch:
    """Turns a recording into events as they are asked for.

    :param on_event: told of every event once
    :ivar events: all so far
    """

    recording: Recording
    on_event: OnEvent | None = None

    def __post_init__(self) -> None:
        self.events: list[ConsoleEvent] = []
        self._recogniser = Recogniser()
        self._next = 0
        self._cursor = 0
        self._told_lost = False

    @property
    def position(self) -> int:
        """How many lines have been read."""
        return self._next

    def start_over(self) -> None:
        """What came so far was before the trigger."""
        self.read()
        self.events.clear()
        self._cursor = 0
        self._recogniser.forget()

    def read(self) -> list[ConsoleEvent]:
        """The events that have come since the last time."""
        new: list[ConsoleEvent] = []
        for line in self.recording.lines(self._next):
            self._next += 1
            new += self._recogniser.read(line)
        if self.recording.silent_seconds > _SETTLED:
            last = ConsoleLine(self.recording.seconds, self.recording.unfinished)
            new += self._recogniser.prompt(last)
        if self.recording.ended and not self._told_lost and not new:
            self._told_lost = True
            new.append(
                ConsoleEvent(
                    kind=ConsoleEventKind.LOST,
                    seconds=round(self.recording.seconds, 3),
                    line="",
                    detail=self.recording.ended,
                )
            )
        self.events += new
        if self.on_event is not None:
            for event in new:
                self.on_event(event)
        return new

    def wait(
        self,
        kinds: Collection[ConsoleEventKind],
        seconds: float,
        *,
        poll: Callable[[], bool] | None = None,
        every: float = 0.5,
    ) -> ConsoleEvent | None:
        """The first event of ``kinds`` after the one that was last waited for.

        None after ``seconds``, or if ``poll`` says so.

        :param poll: asked again and again; true ends the wait
        """
        deadline = time.monotonic() + seconds
        while True:
            self.read()
            for index in range(self._cursor, len(self.events)):
                if self.events[index].kind in kinds:
                    self._cursor = index + 1
                    return self.events[index]
            left = deadline - time.monotonic()
            if left <= 0 or (poll is not None and poll()):
                return None
            with self.recording.news:
                self.recording.news.wait(min(left, every))

    def saw(self, *kinds: ConsoleEventKind) -> ConsoleEvent | None:
        """The last event of ``kinds`` so far."""
        return next((event for event in reversed(self.events) if event.kind in kinds), None)

    def wait_for_text(self, text: str, seconds: float) -> bool:
        """Whether ``text`` comes on the console, in a line that is finished or not."""
        deadline = time.monotonic() + seconds
        start = 0
        while True:
            lines = self.recording.lines(start)
            if any(text in line.text for line in lines) or text in self.recording.unfinished:
                return True
            start += len(lines)
            left = deadline - time.monotonic()
            if left <= 0 or self.recording.ended:
                return False
            with self.recording.news:
                self.recording.news.wait(min(left, 0.5))
