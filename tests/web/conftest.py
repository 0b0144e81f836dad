"""A server over a small fleet, and people who may do different things."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvicorn
from argon2 import PasswordHasher
from starlette.testclient import TestClient
from tests.web.fleet import PASSWORD, add_people, fill

from kautopsy.fleet import changes
from kautopsy.fleet.database import Database
from kautopsy.fleet.files import DataFolder
from kautopsy.fleet.nouns import Role
from kautopsy.fleet.settings import Settings
from kautopsy.web import passwords
from kautopsy.web.app import create_app
from kautopsy.web.config import WebConfig

Login = Callable[[str], TestClient]


@pytest.fixture(scope="session", autouse=True)
def _cheap_hashes() -> Iterator[None]:
    """argon2 is slow on purpose; what the tests are about is not how slow."""
    dear = passwords._HASHER
    passwords._HASHER = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    yield
    passwords._HASHER = dear


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fleet")


@pytest.fixture(scope="module")
def database(folder: Path) -> Iterator[Database]:
    with Database.open(f"sqlite:///{folder / 'fleet.sqlite'}") as store:
        fill(store, time.time())
        add_people(store)
        yield store


@pytest.fixture(scope="module")
def make_client(database: Database, folder: Path) -> Callable[..., TestClient]:
    def make(settings: Settings | None = None, **config: object) -> TestClient:
        app = create_app(
            database,
            WebConfig(**config),  # type: ignore[arg-type]
            data=DataFolder(folder / "data"),
            settings=settings or Settings(),
        )
        return TestClient(app, base_url="http://127.0.0.1:8470", follow_redirects=False)

    return make


@pytest.fixture
def url(database: Database, folder: Path) -> Iterator[str]:
    """The address of a server that listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        address = f"http://127.0.0.1:{port}"
        app = create_app(
            database,
            WebConfig(public_url=address),
            data=DataFolder(folder / "data"),
            settings=Settings(upload_limit=8 << 20),
        )
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started:
            time.sleep(0.05)
        yield address
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def login(make_client: Callable[..., TestClient]) -> Login:
    """``login("viewer")``: a browser in which that person is logged in; ``""``: nobody."""
    clients: dict[str, TestClient] = {}

    def logged_in(name: str) -> TestClient:
        if name not in clients:
            client = clients[name] = make_client()
            if name:
                answer = client.post("/login", data={"name": name, "password": PASSWORD})
                assert answer.status_code == 303
        return clients[name]

    return logged_in


@pytest.fixture(scope="module")
def token(database: Database) -> Callable[..., dict[str, str]]:
    """``token(Role.HOST, "web01")``: the header that a program sends."""

    def make(role: Role, host: str = "") -> dict[str, str]:
        with database.write() as connection:
            _, secret = changes.people.add_token(
                connection, name="t", role=role, host=host, by="test"
            )
        return {"authorization": f"Bearer {secret}"}

    return make


def csrf_of(client: TestClient) -> str:
    """The secret that this session's forms repeat."""
    text = client.get("/account").text
    return text.split('name="csrf" value="')[1].split('"')[0]
