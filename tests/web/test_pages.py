"""What the pages show, and what their forms do."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from tests.fleet.samples import sighting
from tests.web.conftest import Login, csrf_of

from kautopsy.fleet import queries
from kautopsy.fleet.database import Database
from kautopsy.fleet.grouping.record import record
from kautopsy.fleet.nouns import GroupFilter, GroupState
from kautopsy.model.errors import UsageError
from kautopsy.web.config import WebConfig, load
from kautopsy.web.templates import ago, when

PATHS = ["/", "/groups/1", "/groups/2", "/crashes", "/crashes/1", "/crashes/1/report", "/hosts",
         "/hosts/db07", "/readiness", "/readiness/hosts", "/drills", "/search?q=frob",
         "/diff?one=1&other=121", "/engine", "/account", "/admin/accounts", "/admin/audit",
         "/metrics", "/?state=all&sort=hosts&text=edac", "/?function=frob_start"]  # fmt: skip
HOSTILE = "<script>alert(1)</script>"


@pytest.mark.parametrize("path", PATHS)
def test_every_page_can_be_looked_at(path: str, login: Login) -> None:
    answer = login("admin").get(path)
    assert answer.status_code == 200


def test_groups_are_ranked_by_harm(login: Login) -> None:
    text = login("viewer").get("/").text
    assert text.index("frob_start") < text.index("edac_poll") < text.index("frobnicate")


def test_a_filter_keeps_what_fits(login: Login) -> None:
    text = login("viewer").get("/?text=edac").text
    assert "edac_poll" in text
    assert "frob_start" not in text


def test_a_group_says_what_it_follows(login: Login) -> None:
    text = login("viewer").get("/groups/2").text
    assert "hardware" in text.split("What it follows")[1].split("</section>")[0]
    assert login("viewer").get("/api/v1/groups/2/attribution").json()["follows"] == "hardware"


def test_a_viewer_sees_no_forms_of_a_triager(login: Login) -> None:
    assert "Merge into it" not in login("viewer").get("/groups/1").text
    assert "Merge into it" in login("triager").get("/groups/1").text


def test_the_full_report_has_its_own_policy(login: Login) -> None:
    answer = login("viewer").get("/crashes/1/report")
    assert "frob_start" in answer.text
    assert "sha256-" in answer.text.split("Content-Security-Policy")[1][:500]


def test_the_report_as_json_is_the_command_s(login: Login) -> None:
    assert login("viewer").get("/crashes/1/report.json").json()["schema"] == "kautopsy.report/1"


def test_what_a_dead_kernel_wrote_is_text(login: Login, database: Database) -> None:
    hostile = sighting(9999, host=f"h{HOSTILE}", function="evil", module="evil", model=HOSTILE)
    with database.write() as connection:
        record(connection, [hostile])
    client = login("triager")
    with database.read() as connection:
        page = queries.groups.ranked(connection, GroupFilter(text="evil"))
    number = page.groups[0].id
    form = {"csrf": csrf_of(client), "text": HOSTILE, "owner": HOSTILE}
    client.post(f"/groups/{number}/notes", data=form)
    client.post(f"/groups/{number}/owner", data=form)
    for path in ("/", f"/groups/{number}", "/crashes", "/hosts", f"/search?q={HOSTILE}",
                 f"/hosts/h{HOSTILE}", f"/?text={HOSTILE}", f"/hosts?text={HOSTILE}"):  # fmt: skip
        text = client.get(path).text
        assert HOSTILE not in text, path
    assert "&lt;script&gt;" in client.get(f"/groups/{number}").text


def _only(database: Database, text: str) -> int:
    with database.read() as connection:
        page = queries.groups.ranked(connection, GroupFilter(text=text, all_states=True))
    assert page.total == 1
    return page.groups[0].id


def test_a_triager_triages(login: Login, database: Database) -> None:
    with database.write() as connection:
        record(connection, [sighting(seed, function=f"triage_{seed}") for seed in (7001, 7002)])
    client = login("triager")
    csrf = csrf_of(client)

    def post(path: str, **form: str) -> str:
        answer = client.post(path, data={"csrf": csrf, **form})
        assert answer.status_code == 303, answer.text
        return str(answer.headers["location"])

    one, two = _only(database, "triage_7001"), _only(database, "triage_7002")
    post(f"/groups/{one}/state", state="fixed", fixed_in="6.1.200")
    post(f"/groups/{one}/owner", owner="storage")
    post(f"/groups/{one}/notes", text="seen it")
    post(f"/groups/{one}/links", url="https://bugs.example/1", label="bug 1")
    with database.read() as connection:
        detail = queries.groups.detail(connection, one)
    assert detail.group.state is GroupState.FIXED
    assert (detail.group.fixed_in, detail.group.owner) == ("6.1.200", "storage")
    assert [note.text for note in detail.notes] == ["seen it"]
    post(f"/groups/{one}/links/{detail.links[0].id}/remove")
    post(f"/groups/{one}/different", other=str(two))
    assert post(f"/groups/{one}/merge", into=str(two)) == f"/groups/{two}?done=merge"
    assert client.get(f"/groups/{one}").headers["location"] == f"/groups/{two}"
    with database.read() as connection:
        merged = queries.groups.detail(connection, two)
    assert merged.group.crashes == 2
    assert not merged.links
    first = merged.exemplars[0].id
    new = int(
        post(f"/groups/{two}/split", crashes=f"{first}", why="no").split("/")[2].split("?")[0]
    )
    with database.read() as connection:
        assert queries.groups.row(connection, new).crashes == 1


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/groups/1/state", {"state": "fixed"}),
        ("/groups/1/state", {"state": "nonsense"}),
        ("/groups/1/state", {"state": "ignored", "ignored_until": "yesterday"}),
        ("/groups/1/state", {"state": "ignored", "ignored_until": "2001-01-01"}),
        ("/groups/1/notes", {"text": "  "}),
        ("/groups/1/links", {"url": "javascript:alert(1)"}),
        ("/groups/1/merge", {"into": "1"}),
        ("/groups/1/split", {"crashes": "one"}),
        ("/groups/1/split", {"crashes": "999999"}),
    ],
)
def test_what_makes_no_sense_is_said(path: str, form: dict[str, str], login: Login) -> None:
    client = login("triager")
    answer = client.post(path, data={"csrf": csrf_of(client), **form})
    assert answer.status_code == 400
    assert "Traceback" not in answer.text


def test_an_administrator_makes_accounts_and_tokens(
    login: Login, make_client: Callable[..., TestClient]
) -> None:
    client = login("admin")
    csrf = csrf_of(client)
    form = {"csrf": csrf, "name": "carl", "role": "viewer", "password": "twelve letters"}
    assert client.post("/admin/accounts", data=form).status_code == 303
    weak = form | {"name": "x", "password": "short"}
    assert client.post("/admin/accounts", data=weak).status_code == 400
    carl = make_client()
    assert carl.post("/login", data=form).status_code == 303
    text = client.post(
        "/admin/tokens", data={"csrf": csrf, "name": "ci", "role": "viewer", "days": "3"}
    ).text
    secret = text.split('id="secret">')[1].split("<")[0]
    header = {"authorization": f"Bearer {secret}"}
    assert make_client().get("/api/v1/groups", headers=header).status_code == 200
    assert secret not in client.get("/admin/accounts").text


def test_the_last_administrator_stays(login: Login) -> None:
    client = login("admin")
    form = {"csrf": csrf_of(client), "name": "admin", "role": "viewer"}
    answer = client.post("/admin/accounts/change", data=form)
    assert answer.status_code == 400
    assert "last administrator" in answer.text


def test_settings_come_from_file_environment_and_command_line(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:

    file = Path(str(tmp_path)) / "fleet.toml"
    file.write_text(
        'database = "x"\n[web]\nport = 1\npublic-url = "https://a"\nmail-to = ["b@c"]\n'
    )
    monkeypatch.setenv("KAUTOPSY_WEB_LISTEN", "::")
    monkeypatch.setenv("KAUTOPSY_WEB_TRUSTED_PROXIES", "10.0.0.1,10.0.0.2")
    found = load(file, port=3)
    assert found == WebConfig(
        port=3, public_url="https://a", mail_to=("b@c",), listen="::",
        trusted_proxies=("10.0.0.1", "10.0.0.2"),
    )  # fmt: skip
    assert found.secure
    monkeypatch.delenv("KAUTOPSY_WEB_TRUSTED_PROXIES")
    for text in (
        "[web]\nprot = 1\n", "[web]\nport = []\n", '[web]\npublic-url = "x"\n', "[web",
        '[web]\nproxy-header = "X-Forwarded-User"\n',
    ):  # fmt: skip
        file.write_text(text)
        with pytest.raises(UsageError) as caught:
            load(file)
        assert caught.value.slug == "bad-config"


def test_moments_in_words() -> None:
    assert when(0.0) == "1970-01-01 00:00"
    assert when(None) == "–"
    assert when(1e300) == "?"
    assert ago(time.time() - 7200) == "2 h ago"
