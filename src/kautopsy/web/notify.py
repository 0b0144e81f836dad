"""Telling people of new groups and regressions: webhook and e-mail, only so many an hour."""

from __future__ import annotations

import logging
import smtplib
import threading
import time
import urllib.request
from collections import deque
from email.message import EmailMessage

import msgspec

from kautopsy.fleet import changes, queries
from kautopsy.fleet.database import Database
from kautopsy.fleet.nouns import Notice
from kautopsy.model.base import Noun
from kautopsy.report.escape import one_line
from kautopsy.web.config import WebConfig

_LOG = logging.getLogger("kautopsy.web.notify")
_HOUR = 3600.0
_SECONDS = 10.0
MOST_TRIES = 5
_TITLES = {"new-group": "new", "regression": "seen again after its fix"}


class Told(Noun, frozen=True, kw_only=True):
    """What the webhook is sent."""

    schema: str = "kautopsy.notice/1"
    kind: str
    title: str
    group_id: int
    crash_id: int | None
    host: str
    release: str
    at: float
    url: str


class Notifier:
    """Sends what the store has to tell."""

    def __init__(self, database: Database, config: WebConfig) -> None:
        self._database = database
        self._config = config
        self._sent: deque[float] = deque()

    def run(self, stop: threading.Event, *, every: float = 10.0) -> None:
        """Send until ``stop`` is set."""
        while not stop.wait(every):
            try:
                self.send()
            except Exception:  # a store that is away comes back; the thread must not end
                _LOG.exception("notices could not be sent")

    def send(self, *, now: float | None = None) -> int:
        """Send what is due; how many were sent."""
        config = self._config
        if not config.webhook and not config.mail_to:
            return 0
        now = time.time() if now is None else now
        with self._database.read() as connection:
            notices = queries.people.notices(connection)
        sent = 0
        for notice in notices:
            if notice.attempts >= MOST_TRIES:
                continue
            while self._sent and self._sent[0] <= now - _HOUR:
                self._sent.popleft()
            if len(self._sent) >= config.notices_per_hour:
                _LOG.warning("notices wait: %d were sent within the hour", len(self._sent))
                break
            error = self._tell(notice)
            with self._database.write() as connection:
                changes.people.notice_sent(connection, notice.id, error=error)
            if error:
                _LOG.warning("notice %d was not sent: %s", notice.id, error)
                continue
            self._sent.append(now)
            sent += 1
        return sent

    def _tell(self, notice: Notice) -> str:
        """Send one; why it could not be, or ''."""
        told = Told(
            kind=notice.kind,
            title=notice.title,
            group_id=notice.group_id,
            crash_id=notice.crash_id,
            host=notice.host,
            release=notice.release,
            at=notice.at,
            url=f"{self._config.public_url.rstrip('/')}/groups/{notice.group_id}",
        )
        try:
            if self._config.webhook:
                self._post(told)
            if self._config.mail_to:
                self._mail(told)
        except (OSError, smtplib.SMTPException, ValueError) as error:
            return one_line(str(error) or type(error).__name__)[:500]
        return ""

    def _post(self, told: Told) -> None:
        request = urllib.request.Request(
            self._config.webhook,
            data=msgspec.json.encode(told),
            headers={"Content-Type": "application/json"},
            method="POST",
        )
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:
            answer.read(1024)

    def _mail(self, told: Told) -> None:
        message = EmailMessage()
        # A header must be one line: what a dead kernel wrote may hold any byte.
        title = one_line(told.title)[:150]
        message["Subject"] = f"[kautopsy] {_TITLES.get(told.kind, told.kind)}: {title}"
        message["From"] = self._config.mail_from
        message["To"] = ", ".join(self._config.mail_to)
        message.set_content(
            f"{title}\n\nhost:    {one_line(told.host) or 'unknown'}\n"
            f"kernel:  {one_line(told.release) or 'unknown'}\n\n{told.url}\n"
        )
        host, _, port = self._config.smtp.partition(":")
        with smtplib.SMTP(host, int(port or 25), timeout=_SECONDS) as server:
            server.send_message(message)
