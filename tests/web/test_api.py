"""The JSON API: what it answers, what hosts send, what is refused."""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
import select
import socket
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.testclient import TestClient
from tests.fleet.samples import console
from tests.web.conftest import Login

from kautopsy.fleet import queries
from kautopsy.fleet.database import Database
from kautopsy.fleet.nouns import Role
from kautopsy.fleet.settings import Settings
from kautopsy.model.base import to_json
from kautopsy.oops import read_text
from kautopsy.triage.textual import report_on_crash

Token = Callable[..., dict[str, str]]


@pytest.fixture
def api(make_client: Callable[..., TestClient], token: Token) -> TestClient:
    client = make_client()
    client.headers.update(token(Role.TRIAGER))
    return client


@pytest.fixture
def host(make_client: Callable[..., TestClient], token: Token) -> TestClient:
    client = make_client(Settings(upload_limit=8 << 20, unpacked_limit=32 << 20))
    client.headers.update(token(Role.HOST, "edge01"))
    return client


def test_what_pages_show_is_there_as_json(api: TestClient) -> None:
    groups = api.get("/api/v1/groups?sort=crashes").json()
    assert groups["groups"][0]["crashes"] >= 120
    number = groups["groups"][0]["id"]
    detail = api.get(f"/api/v1/groups/{number}").json()
    assert detail["signatures"][0]["frames"][0] == "frob_start"
    crashes = api.get(f"/api/v1/groups/{number}/crashes").json()
    assert crashes["total"] >= 120
    crash = crashes["crashes"][-1]["id"]
    assert api.get(f"/api/v1/crashes/{crash}").json()["crash"]["id"] == crash
    assert api.get(f"/api/v1/crashes/{crash}/report").json()["schema"] == "kautopsy.report/1"
    assert api.get("/api/v1/hosts/db07").json()["host"]["deaths"] == 9
    assert api.get("/api/v1/hosts?text=HPE").json()["total"] == 1
    assert api.get("/api/v1/search?q=edac").json()["hits"][0]["kind"] == "group"
    assert api.get("/api/v1/status").json()["schema"] == "kautopsy.fleet-status/1"
    for path in ("/crashes", "/readiness", "/drills", "/diff?one=1&other=2"):
        assert api.get(f"/api/v1{path}").status_code == 200


def test_the_description_fits_what_is_answered(api: TestClient) -> None:
    import jsonschema

    document = api.get("/api/v1/openapi.json").json()
    for path, concrete in (
        ("/api/v1/groups", "/api/v1/groups"),
        ("/api/v1/groups/{group}", "/api/v1/groups/1"),
        ("/api/v1/crashes/{crash}", "/api/v1/crashes/1"),
        ("/api/v1/hosts/{host}", "/api/v1/hosts/db07"),
        ("/api/v1/readiness", "/api/v1/readiness"),
        ("/api/v1/status", "/api/v1/status"),
    ):
        answers = document["paths"][path]["get"]["responses"]
        schema = answers["200"]["content"]["application/json"]["schema"]
        jsonschema.validate(
            api.get(concrete).json(), {**schema, "components": document["components"]}
        )
    problem = api.get("/api/v1/groups/99999").json()
    assert problem["error"]["slug"] == "no-such-group"


def test_a_triager_triages_by_program(api: TestClient, login: Login) -> None:
    def post(path: str, **body: object) -> object:
        answer = api.post(f"/api/v1{path}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()["id"]

    post("/groups/2/owner", owner="hardware")
    post("/groups/2/state", state="known")
    post("/groups/2/notes", text="a DIMM")
    post("/crashes/121/notes", text="slot 3")
    post("/groups/2/links", url="https://bugs.example/2")
    text = login("viewer").get("/groups/2").text
    assert "hardware" in text and "a DIMM" in text and "bugs.example" in text
    assert "slot 3" in login("viewer").get("/crashes/121").text


@pytest.mark.parametrize(
    ("path", "body", "status", "slug"),
    [
        ("/groups/1/state", b"{", 400, "bad-document"),
        ("/groups/1/state", b'{"state": "x"}', 400, "bad-document"),
        ("/groups/1/merge", b'{"group": -1}', 400, "bad-number"),
        ("/groups/1/merge", b'{"group": 1}', 400, "same-group"),
        ("/groups/77777/owner", b'{"owner": "x"}', 404, "no-such-group"),
        ("/groups/x/owner", b'{"owner": "x"}', 404, "no-such-page"),
        ("/reports", b"[]", 400, "bad-document"),
        ("/reports?host=a", b"\xff", 400, "bad-document"),
        ("/nothing", b"", 404, "no-such-page"),
    ],
)
def test_errors_have_names(path: str, body: bytes, status: int, slug: str, api: TestClient) -> None:
    answer = api.post(f"/api/v1{path}", content=body)
    assert (answer.status_code, answer.json()["error"]["slug"]) == (status, slug)


def test_a_small_report_is_answered(host: TestClient, database: Database) -> None:
    log = console(4711, function="edge_only")
    (crash,) = read_text(log)
    report = to_json(report_on_crash(crash), indent=0)
    first = host.post("/api/v1/reports", content=report)
    assert first.status_code == 200
    assert first.json()["answer"] == "new"
    again = host.post("/api/v1/reports", json={"report": json.loads(report), "log": log}).json()
    assert again["group_id"] == first.json()["group_id"]
    with database.read() as connection:
        row = queries.groups.row(connection, again["group_id"])
        assert queries.hosts.detail(connection, "edge01").host.crashes == 1
    assert row.crashes == 1


def test_a_host_speaks_for_itself_only(host: TestClient) -> None:
    (crash,) = read_text(console(1))
    report = json.loads(to_json(report_on_crash(crash)))
    answer = host.post("/api/v1/reports", json={"report": report, "host": "web01"})
    assert (answer.status_code, answer.json()["error"]["slug"]) == (403, "not-your-host")


def announce(client: TestClient, raw: bytes, name: str = "console.log", **said: object) -> str:
    answer = client.post(
        "/api/v1/uploads",
        json={"name": name, "size": len(raw), "sha256": hashlib.sha256(raw).hexdigest(), **said},
    )
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def patch(client: TestClient, upload: str, offset: int, raw: bytes) -> int:
    return client.patch(
        f"/api/v1/uploads/{upload}", content=raw, headers={"upload-offset": str(offset)}
    ).status_code


def test_an_upload_goes_on_where_it_broke(host: TestClient, database: Database) -> None:
    raw = console(815, function="uploaded_fn").encode()
    upload = announce(host, raw, "../../etc/passwd")
    assert patch(host, upload, 0, raw[:100]) == 200
    assert patch(host, upload, 0, raw) == 409
    assert announce(host, raw) == upload
    there = host.get(f"/api/v1/uploads/{upload}").json()["offset"]
    assert there == 100
    assert host.post(f"/api/v1/uploads/{upload}/finish").status_code == 409
    assert patch(host, upload, there, raw[there:]) == 200
    done = host.post(f"/api/v1/uploads/{upload}/finish").json()
    assert done["state"] == "done"
    assert "/" not in done["name"]
    with database.read() as connection:
        assert queries.search.search(connection, "uploaded_fn")


def test_an_upload_of_another_host_is_closed(
    host: TestClient, make_client: Callable[..., TestClient], token: Token
) -> None:
    upload = announce(host, b"x" * 10)
    other = make_client()
    other.headers.update(token(Role.HOST, "edge02"))
    assert other.get(f"/api/v1/uploads/{upload}").status_code == 403
    assert patch(other, upload, 0, b"x") == 403


def test_what_is_too_large_or_wrong_is_refused(host: TestClient, tmp_path: Path) -> None:
    big = {"name": "v", "size": 10 << 30, "sha256": "0" * 64}
    assert host.post("/api/v1/uploads", json=big).status_code == 413
    raw = b"y" * 1000
    upload = announce(host, raw)
    assert patch(host, upload, 0, raw + b"more") == 413
    assert patch(host, upload, 7, raw) == 409
    upload = announce(host, raw, size=2000)
    assert patch(host, upload, 0, raw * 2) == 200
    assert host.post(f"/api/v1/uploads/{upload}/finish").status_code == 422
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("console.log", b"\0" * (64 << 20))
    raw = bomb.read_bytes()
    upload = announce(host, raw, "bomb.zip")
    assert patch(host, upload, 0, raw) == 200
    answer = host.post(f"/api/v1/uploads/{upload}/finish")
    assert answer.status_code == 413, answer.text


def test_ten_gigabytes_end_at_the_limit(url: str, token: Token, folder: Path) -> None:
    """Whoever announces what is allowed and then sends 10 GiB is stopped, and fills no disk."""
    header = token(Role.HOST, "edge01")
    limit = 8 << 20
    said = {"name": "v", "size": 10 << 30, "sha256": "a" * 64}
    with httpx.Client(base_url=url, headers=header) as client:
        assert client.post("/api/v1/uploads", json=said).status_code == 413
        upload = client.post("/api/v1/uploads", json=said | {"size": limit}).json()["id"]
    where = urlsplit(url)
    sent = 0
    with socket.create_connection((where.hostname, where.port), timeout=60) as connection:
        connection.sendall(
            f"PATCH /api/v1/uploads/{upload} HTTP/1.1\r\nHost: {where.netloc}\r\n"
            f"Authorization: {header['authorization']}\r\nUpload-Offset: 0\r\n"
            f"Content-Length: {10 << 30}\r\n\r\n".encode()
        )
        # It may end the connection before it answers.
        with contextlib.suppress(ConnectionError):
            while not select.select([connection], [], [], 0)[0]:
                sent += connection.send(bytes(1 << 20))
                assert sent < 1 << 30
            assert b" 413 " in connection.recv(4096).split(b"\r\n")[0]
    assert sent > limit
    assert (folder / "data" / "incoming" / upload).stat().st_size <= limit


def test_many_uploads_at_once_some_cut_off(
    make_client: Callable[..., TestClient], token: Token, database: Database
) -> None:
    client = make_client()
    header = token(Role.TRIAGER)
    rng = random.Random(5)

    def send(number: int) -> str:
        raw = console(50_000 + number, function="many_uploads").encode()
        raw = raw.replace(b"many_uploads", f"many_uploads_{number}".encode())
        mine = TestClient(client.app, base_url="http://127.0.0.1:8470", headers=header)
        upload = announce(mine, raw, f"{number}.log", host=f"m{number:03}")
        cut = rng.randrange(1, len(raw)) if number % 10 == 0 else len(raw)
        assert patch(mine, upload, 0, raw[:cut]) == 200
        if cut < len(raw):
            there = int(mine.get(f"/api/v1/uploads/{upload}").json()["offset"])
            assert there == cut
            assert patch(mine, upload, there, raw[there:]) == 200
        answer = mine.post(f"/api/v1/uploads/{upload}/finish")
        return str(answer.json().get("state", answer.text))

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(send, range(40))) == ["done"] * 40
    with database.read() as connection:
        hosts = queries.hosts.listed(connection, text="m0", limit=200).hosts
    assert sorted((one.name, one.crashes) for one in hosts if one.name.startswith("m0")) == [
        (f"m{number:03}", 1) for number in range(40)
    ]
