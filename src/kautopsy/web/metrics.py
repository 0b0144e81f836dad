"""Figures for Prometheus, health for whoever restarts what is ill, and a line a request."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kautopsy.fleet import migrate, queries
from kautopsy.fleet.database import Database
from kautopsy.web.context import Context, endpoint

_LOG = logging.getLogger("kautopsy.web")


class _Store(Collector):
    """The store's figures, read when they are asked for."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def collect(self) -> Iterator[Metric]:
        """Read them."""
        with self._database.read() as connection:
            status = queries.work.status(
                connection, database=self._database.url, revision=migrate.head()
            )
            ready = queries.readiness.summary(connection)
        for name, doc, value in (
            ("kautopsy_hosts", "Hosts that are known", status.hosts),
            ("kautopsy_crashes", "Crashes that are known", status.crashes),
            ("kautopsy_deaths", "Crashes that ended a machine", status.deaths),
            ("kautopsy_stored_bytes", "Bytes of what was received", status.stored_bytes),
            ("kautopsy_silent_deaths", "Boots that ended without a word, 30 days", ready.silent),
        ):
            yield GaugeMetricFamily(name, doc, value=value)
        for name, doc, label, counts in (
            ("kautopsy_groups", "Groups by state", "state", status.groups),
            ("kautopsy_jobs", "Analyses by state", "state", status.jobs),
            ("kautopsy_outcomes", "Analyses by how they ended", "outcome", status.outcomes),
            ("kautopsy_sources", "Files by kind", "kind", status.sources),
        ):
            family = GaugeMetricFamily(name, doc, labels=[label])
            for one in counts:
                family.add_metric([one.name], one.count)
            yield family
        family = GaugeMetricFamily("kautopsy_readiness", "Hosts by readiness", labels=["answer"])
        for answer, count in (
            ("ready", ready.ready), ("not-ready", ready.not_ready), ("unknown", ready.unknown),
            ("unreached", ready.unreached), ("unasked", ready.unasked),
        ):  # fmt: skip
            family.add_metric([answer], count)
        yield family


class Metrics:
    """The figures of one server."""

    def __init__(self, database: Database) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_Store(database))
        self.requests = Counter(
            "kautopsy_http_requests", "Requests", ["method", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "kautopsy_http_seconds", "Time to the answer", ["method"], registry=self.registry
        )


class Watch:
    """Counts and logs every request: who, what, how it ended; never what a query asked for."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.monotonic()
        status = 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            seconds = time.monotonic() - started
            method = scope["method"] if scope["method"].isalpha() else "?"
            self._metrics.requests.labels(method, str(status)).inc()
            self._metrics.seconds.labels(method).observe(seconds)
            client = scope.get("client") or ("", 0)
            _LOG.info(
                "request",
                extra={
                    "kautopsy": {
                        "address": client[0],
                        "method": method,
                        "path": scope["path"],
                        "status": status,
                        "seconds": round(seconds, 4),
                    }
                },
            )


class JsonLines(logging.Formatter):
    """A log line as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "kautopsy", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=True)


class TextLines(logging.Formatter):
    """A log line for people."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and a traceback where there is one."""
        said = getattr(record, "kautopsy", {})
        words = " ".join(f"{name}={value!r}" for name, value in said.items())
        text = f"{record.levelname.lower()} {record.getMessage()} {words}".rstrip()
        return text + ("\n" + self.formatException(record.exc_info) if record.exc_info else "")


def _metrics(context: Context) -> Response:
    metrics: Metrics = context.request.app.state.metrics
    text = generate_latest(metrics.registry)
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


def _alive(_context: Context) -> Response:
    return PlainTextResponse("alive\n")


async def _ready(request: Request) -> Response:
    from starlette.concurrency import run_in_threadpool

    database: Database = request.app.state.site.database

    def ask() -> None:
        with database.read() as connection:
            queries.people.accounts(connection)

    try:
        await run_in_threadpool(ask)
    except Exception as error:  # whatever the driver raises: the answer is "not ready"
        _LOG.warning("not ready", extra={"kautopsy": {"why": str(error).splitlines()[0]}})
        return PlainTextResponse("the store does not answer\n", 503)
    return PlainTextResponse("ready\n")


ROUTES = [
    Route("/metrics", endpoint(_metrics), methods=["GET"]),
    Route("/healthz", endpoint(_alive, None), methods=["GET"]),
    Route("/readyz", _ready, methods=["GET"]),
]
