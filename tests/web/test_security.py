"""Who may see and do what, and what others may make them do."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator

import pytest
from starlette.routing import Route
from starlette.testclient import TestClient
from tests.web.conftest import Login, csrf_of
from tests.web.fleet import PASSWORD

from kautopsy.fleet import changes, queries
from kautopsy.fleet.database import Database
from kautopsy.fleet.nouns import Role
from kautopsy.model.errors import UsageError
from kautopsy.web.passwords import SHORTEST, Attempts, hash_password, matches

pytestmark = pytest.mark.slow

OPEN = {"/login", "/healthz", "/readyz", "/static/style.css", "/static/script.js",
        "/api/v1/openapi.json"}  # fmt: skip
VALUES = {"group": "1", "crash": "1", "host": "db07", "drill": "1", "link": "1", "token": "1",
          "upload": "0" * 32}  # fmt: skip


def routes(client: TestClient) -> Iterator[tuple[str, str]]:
    """(method, path) of everything that is served."""
    for route in client.app.routes:  # type: ignore[attr-defined]
        assert isinstance(route, Route)
        path = re.sub(r"\{(\w+)(:\w+)?\}", lambda found: VALUES[found[1]], route.path)
        for method in (route.methods or set()) - {"HEAD"}:
            yield method, path


def test_nobody_sees_or_does_anything(login: Login) -> None:
    client = login("")
    seen = 0
    for method, path in routes(client):
        if path in OPEN:
            continue
        answer = client.request(method, path)
        seen += 1
        if path.startswith("/api/"):
            assert answer.status_code == 401, path
        else:
            assert answer.status_code == 303, path
            assert answer.headers["location"].startswith("/login"), path
    assert seen > 50


def test_a_viewer_changes_nothing(login: Login) -> None:
    client = login("viewer")
    csrf = csrf_of(client)
    for method, path in routes(client):
        if method == "GET" or path in OPEN or path in ("/logout", "/account/password"):
            continue
        answer = client.request(method, path, data={"csrf": csrf}, headers={"x-csrf-token": csrf})
        # Hosts' operations are a viewer's too; they then complain of what was sent.
        if path.startswith(("/api/v1/uploads", "/api/v1/reports")):
            assert answer.status_code in (400, 404), path
        else:
            assert answer.status_code == 403, path


def test_a_triager_is_no_administrator(login: Login) -> None:
    client = login("triager")
    for method, path in routes(client):
        if path.startswith("/admin"):
            answer = client.request(method, path, data={"csrf": csrf_of(client)})
            assert answer.status_code == 403, path


def test_a_host_reads_nothing(login: Login, token: Callable[..., dict[str, str]]) -> None:
    client, header = login(""), token(Role.HOST, "web01")
    for path in ("/", "/groups/1", "/crashes/1/report", "/metrics"):
        assert client.get(path, headers=header).status_code == 403
    for path in ("/api/v1/groups", "/api/v1/hosts/web01", "/api/v1/crashes/1/report"):
        assert client.get(path, headers=header).status_code == 403


@pytest.mark.parametrize("how", ["nothing", "wrong", "of another session", "another origin"])
def test_a_forged_form_does_nothing(how: str, login: Login, database: Database) -> None:
    client = login("triager")
    form, headers = {"owner": "mallory"}, {}
    if how == "wrong":
        form["csrf"] = "x" * 43
    elif how == "of another session":
        form["csrf"] = csrf_of(login("admin"))
    elif how == "another origin":
        form["csrf"] = csrf_of(client)
        headers["origin"] = "https://evil.example"
    assert client.post("/groups/1/owner", data=form, headers=headers).status_code == 403
    with database.read() as connection:
        assert queries.groups.row(connection, 1).owner != "mallory"


def test_a_cookie_alone_changes_nothing_through_the_api(login: Login) -> None:
    client = login("triager")
    answer = client.post("/api/v1/groups/1/owner", json={"owner": "x"})
    assert answer.status_code == 403
    assert answer.json()["error"]["slug"] == "forged"
    answer = client.post(
        "/api/v1/groups/1/owner", json={"owner": ""}, headers={"x-csrf-token": csrf_of(client)}
    )
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "header",
    [
        "Bearer ",
        "Bearer kau_x",
        "Bearer " + "a" * 10_000,
        "Basic YWRtaW46YWRtaW4=",
        "x",
        "Bearer é",
    ],
)
def test_a_forged_token_is_nobody(header: str, login: Login) -> None:
    answer = login("").get("/api/v1/groups", headers={b"authorization": header.encode()})
    assert answer.status_code == 401


def test_a_revoked_token_is_nobody(login: Login, database: Database) -> None:
    with database.write() as connection:
        number, secret = changes.people.add_token(connection, name="t", role=Role.VIEWER, by="test")
    header = {"authorization": f"Bearer {secret}"}
    assert login("").get("/api/v1/groups", headers=header).status_code == 200
    with database.write() as connection:
        changes.people.revoke_token(connection, number, by="test")
    assert login("").get("/api/v1/groups", headers=header).status_code == 401


def test_a_bearer_header_hides_the_cookie(login: Login) -> None:
    answer = login("admin").get("/api/v1/groups", headers={"authorization": "Bearer wrong"})
    assert answer.status_code == 401


def test_logging_out_ends_the_session(make_client: Callable[..., TestClient]) -> None:
    client = make_client()
    client.post("/login", data={"name": "viewer", "password": PASSWORD})
    cookie = client.cookies["kautopsy"]
    assert client.get("/").status_code == 200
    client.post("/logout", data={"csrf": csrf_of(client)})
    client.cookies.set("kautopsy", cookie)
    assert client.get("/").status_code == 303


def test_the_cookie_is_hard_to_steal(make_client: Callable[..., TestClient]) -> None:
    client = make_client(public_url="https://crash.example")
    answer = client.post("/login", data={"name": "viewer", "password": PASSWORD})
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie and "secure" in cookie and "samesite=lax" in cookie
    assert "strict-transport-security" in answer.headers


def test_a_closed_account_is_out_at_once(
    make_client: Callable[..., TestClient], database: Database
) -> None:
    with database.write() as connection:
        changes.people.add_account(
            connection, "leaver", role=Role.VIEWER, password_hash=hash_password(PASSWORD), by="t"
        )
    client = make_client()
    client.post("/login", data={"name": "leaver", "password": PASSWORD})
    assert client.get("/").status_code == 200
    with database.write() as connection:
        changes.people.change_account(connection, "leaver", active=False, by="t")
    assert client.get("/").status_code == 303
    assert client.post("/login", data={"name": "leaver", "password": PASSWORD}).status_code == 401


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"]
)
def test_logging_in_leads_nowhere_else(target: str, make_client: Callable[..., TestClient]) -> None:
    answer = make_client().post(
        "/login", data={"name": "viewer", "password": PASSWORD, "next": target}
    )
    assert answer.headers["location"] == "/"


def test_guessing_is_slowed_down(make_client: Callable[..., TestClient]) -> None:
    client = make_client()
    for _ in range(Attempts.PER_NAME):
        answer = client.post("/login", data={"name": "viewer", "password": "wrong"})
        assert answer.status_code == 401
    assert client.post("/login", data={"name": "viewer", "password": PASSWORD}).status_code == 429
    assert client.post("/login", data={"name": "admin", "password": PASSWORD}).status_code == 303


def test_passwords_are_kept_as_argon2_and_long_ones_only() -> None:
    kept = hash_password(PASSWORD)
    assert kept.startswith("$argon2id$")
    assert matches(kept, PASSWORD) and not matches(kept, PASSWORD + " ")
    assert not matches("", "") and not matches("nonsense", "nonsense")
    with pytest.raises(UsageError, match="shorter than"):
        hash_password("x" * (SHORTEST - 1))


def test_a_proxy_is_believed_only_where_it_stands(
    make_client: Callable[..., TestClient], database: Database
) -> None:
    header = {"x-forwarded-user": "zoe"}
    assert make_client().get("/login", headers=header).status_code == 200
    assert make_client().get("/", headers={"x-forwarded-user": "admin"}).status_code == 303
    with pytest.raises(ValueError, match="trusted_proxies"):
        make_client(proxy_header="x-forwarded-user")
    far = make_client(proxy_header="x-forwarded-user", trusted_proxies=("10.9.8.7",))
    assert far.get("/login", headers=header).status_code == 200
    near = make_client(proxy_header="x-forwarded-user", trusted_proxies=("testclient",))
    twice = [("x-forwarded-user", "admin"), ("x-forwarded-user", "zoe")]
    assert near.get("/login", headers=twice).status_code == 200
    answer = near.get("/login?next=/hosts", headers=header)
    assert (answer.status_code, answer.headers["location"]) == (303, "/hosts")
    assert near.get("/", headers=header).status_code == 200
    # The proxy now names somebody else: the old session is none of theirs.
    assert near.get("/", headers={"x-forwarded-user": "mallory"}).status_code == 303
    with database.read() as connection:
        account = queries.people.account(connection, "zoe")
    assert account is not None and account.role is Role.VIEWER


@pytest.mark.parametrize(
    "path",
    ["/hosts/..%2f..%2fetc%2fpasswd", "/hosts/%2e%2e/%2e%2e/etc/passwd", "/static/../app.py",
     "/static/%2e%2e/config.py", "/groups/1%00", "/groups/²", "/groups/-1", "/groups/1e9",
     "/groups/99999999999999999999", "/crashes/abc/report", "/diff?one=1&other=x",
     "/api/v1/uploads/..%2f..%2fetc"],
)  # fmt: skip
def test_odd_paths_lead_to_nothing(path: str, login: Login) -> None:
    answer = login("admin").get(path)
    assert answer.status_code == 404, path
    assert "root:" not in answer.text and "Traceback" not in answer.text


@pytest.mark.parametrize("query", ["?state=x", "?sort=x", "?offset=x", "?offset=-1"])
def test_odd_parameters_are_errors_in_words(query: str, login: Login) -> None:
    answer = login("viewer").get("/" + query)
    assert answer.status_code in (400, 404)
    assert "Traceback" not in answer.text


def test_a_form_of_a_megabyte_is_refused(login: Login) -> None:
    client = login("triager")
    form = {"csrf": csrf_of(client), "text": "x" * (1 << 20)}
    assert client.post("/groups/1/notes", data=form).status_code == 413


def test_every_answer_forbids_what_a_page_needs_not(login: Login) -> None:
    for path in ("/", "/groups/1", "/login", "/nothing", "/api/v1/groups", "/static/style.css"):
        headers = login("admin").get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


def test_what_was_done_is_in_the_audit_log(login: Login, database: Database) -> None:
    client = login("triager")
    form = {"csrf": csrf_of(client), "owner": f"team {time.time()}"}
    assert client.post("/groups/1/owner", data=form).status_code == 303
    with database.read() as connection:
        newest = queries.people.audit(connection, limit=1)[0]
    assert (newest.who, newest.action, newest.subject) == ("triager", "group-owner", "group 1")
    assert newest.address == "testclient"
    assert form["owner"] in login("admin").get("/admin/audit").text
