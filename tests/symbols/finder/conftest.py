"""A server on loopback that behaves as badly as it is told to, and a cache of one's own."""

from __future__ import annotations

import contextlib
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from kautopsy.symbols.finder import http

from . import record

MIRROR = record.MIRROR


@pytest.fixture
def make_vmlinux() -> Callable[..., bytes]:
    return record.make_vmlinux


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test reads or fills the cache of whoever runs it, nor asks servers it is set up with."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    for name in (
        "DEBUGINFOD_URLS",
        "KAUTOPSY_DEBUGINFO_PATH",
        "KAUTOPSY_DEBUGINFO_MIRROR",
        "KAUTOPSY_DEBUGINFO_CACHE_SIZE",
        "KAUTOPSY_DEBIAN_SNAPSHOT",
        "http_proxy",
        "https_proxy",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(http, "_FIRST_PAUSE", 0.01)
    return tmp_path / "xdg" / "kautopsy"


@dataclass
class Server:
    """What it serves, how it misbehaves, and what it was asked."""

    root: Path
    url: str = ""
    drop_after: list[int] = field(default_factory=list)
    """For each request in turn, the bytes of the body after which the line breaks."""
    etag: str | None = '"1"'
    ranges: bool = True
    pause: float = 0.0
    """Seconds between a body's first byte and its second."""
    status: list[int] = field(default_factory=list)
    """For each request in turn, an error to answer with, or 0."""
    redirect: str = ""
    answers: dict[str, bytes] = field(default_factory=dict)
    """Path with query → body, before the directory is looked at."""
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Path and Range header of each request."""


class _Handler(BaseHTTPRequestHandler):
    state: Server

    def do_GET(self) -> None:
        state = self.state
        wanted = self.headers.get("Range", "")
        state.asked.append((self.path, wanted))
        if state.status and (status := state.status.pop(0)):
            self.send_error(status)
            return
        if state.redirect:
            self.send_response(302)
            self.send_header("Location", state.redirect)
            self.end_headers()
            return
        body = self._body()
        if body is None:
            self.send_error(404)
            return
        start = 0
        fresh = self.headers.get("If-Range") in (None, state.etag)
        if wanted and state.ranges and fresh:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(body):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(body)}")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(body) - start))
        if state.etag is not None:
            self.send_header("ETag", state.etag)
        self.end_headers()
        rest = body[start:]
        if state.drop_after:
            rest = rest[: state.drop_after.pop(0)]
        with contextlib.suppress(ConnectionError):  # the client may have had enough
            if state.pause:
                self.wfile.write(rest[:1])
                self.wfile.flush()
                time.sleep(state.pause)
                rest = rest[1:]
            self.wfile.write(rest)

    def _body(self) -> bytes | None:
        if self.path in self.state.answers:
            return self.state.answers[self.path]
        path = self.state.root / urllib.parse.unquote(self.path.partition("?")[0]).lstrip("/")
        if path.is_dir():
            names = (f'<a href="{p.name}">{p.name}</a>' for p in sorted(path.iterdir()))
            return "\n".join(names).encode()
        return path.read_bytes() if path.is_file() else None

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (its name)
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    root = tmp_path / "served"
    root.mkdir()
    state = Server(root)
    handler = type("Handler", (_Handler,), {"state": state})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as listener:
        state.url = f"http://127.0.0.1:{listener.server_address[1]}"
        thread = threading.Thread(target=listener.serve_forever, args=(0.02,))
        thread.start()
        yield state
        listener.shutdown()
        thread.join()


@pytest.fixture
def mirror(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The recorded tree of the distributions' servers."""
    server.root = MIRROR
    monkeypatch.setenv("KAUTOPSY_DEBUGINFO_MIRROR", server.url)
    return server
