"""Figures, health, log lines, notices."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from starlette.testclient import TestClient
from tests.fleet.samples import sighting

from kautopsy.fleet.database import Database
from kautopsy.fleet.grouping.record import record
from kautopsy.fleet.nouns import Role
from kautopsy.web.config import WebConfig
from kautopsy.web.metrics import JsonLines, TextLines
from kautopsy.web.notify import MOST_TRIES, Notifier


def test_prometheus_gets_figures(
    make_client: Callable[..., TestClient], token: Callable[..., dict[str, str]]
) -> None:
    client = make_client()
    client.get("/healthz")
    text = client.get("/metrics", headers=token(Role.VIEWER)).text
    assert "kautopsy_hosts 22.0" in text
    assert "kautopsy_crashes 130.0" in text
    assert 'kautopsy_groups{state="new"} 3.0' in text
    assert 'kautopsy_http_requests_total{method="GET",status="200"} 1.0' in text


def test_health_says_whether_the_store_answers(
    make_client: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = make_client()
    assert client.get("/readyz").status_code == 200

    def broken(_self: Database) -> None:
        raise OSError("gone")

    monkeypatch.setattr(Database, "read", broken)
    assert client.get("/readyz").status_code == 503
    assert client.get("/healthz").status_code == 200


def test_a_log_line_is_one_line_and_keeps_queries_to_itself(
    make_client: Callable[..., TestClient], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "kautopsy.web"):
        make_client().get("/login?next=/secret%0aforged")
    [entry] = [one for one in caplog.records if one.name == "kautopsy.web"]
    line = json.loads(JsonLines().format(entry))
    assert (line["path"], line["status"], line["method"]) == ("/login", 200, "GET")
    for formatter in (JsonLines(), TextLines()):
        text = formatter.format(entry)
        assert "secret" not in text and "\n" not in text


class _Hook(BaseHTTPRequestHandler):
    status = 200
    got: ClassVar[list[dict[str, object]]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.got.append(json.loads(body))
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hook() -> Iterator[tuple[type[_Hook], str]]:
    class Mine(_Hook):
        got: ClassVar[list[dict[str, object]]] = []

    with HTTPServer(("127.0.0.1", 0), Mine) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Mine, f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Database]:
    with Database.open(f"sqlite:///{tmp_path / 'f.sqlite'}") as database:
        with database.write() as connection:
            record(connection, [sighting(n, function=f"notice_{n}") for n in range(5)])
        yield database


def test_new_groups_are_told_once_and_not_too_many(
    hook: tuple[type[_Hook], str], fresh: Database
) -> None:
    handler, url = hook
    config = WebConfig(webhook=url, notices_per_hour=3, public_url="https://crash.example/")
    notifier = Notifier(fresh, config)
    assert notifier.send(now=1000.0) == 3
    assert notifier.send(now=1001.0) == 0
    assert notifier.send(now=1000.0 + 3601) == 2
    assert notifier.send(now=9000.0) == 0
    assert [told["kind"] for told in handler.got] == ["new-group"] * 5
    assert len({told["group_id"] for told in handler.got}) == 5
    assert str(handler.got[0]["url"]).startswith("https://crash.example/groups/")
    assert "notice_" in str(handler.got[0]["title"])


def test_a_webhook_that_fails_is_tried_again_and_not_for_ever(
    hook: tuple[type[_Hook], str], fresh: Database
) -> None:
    handler, url = hook
    handler.status = 500
    notifier = Notifier(fresh, WebConfig(webhook=url))
    for _ in range(MOST_TRIES + 2):
        assert notifier.send() == 0
    assert len(handler.got) == 5 * MOST_TRIES


def test_mail_has_a_subject_of_one_line(fresh: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []

    class Server:
        def __init__(self, *_: object, **__: object) -> None: ...
        def __enter__(self) -> Server:
            return self

        def __exit__(self, *_: object) -> None: ...
        def send_message(self, message: object) -> None:
            sent.append(str(message))

    monkeypatch.setattr("kautopsy.web.notify.smtplib.SMTP", Server)
    hostile = sighting(77, function="x", release="6.1.0\r\nBcc: all@example")
    with fresh.write() as connection:
        record(connection, [hostile])
    assert Notifier(fresh, WebConfig(mail_to=("oncall@example",))).send() >= 5
    for text in sent:
        head = text.split("\n\n")[0]
        assert "To: oncall@example" in head
        assert "[kautopsy] new" in head
        assert "Bcc" not in head
