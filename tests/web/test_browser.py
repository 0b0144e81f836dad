"""A person at a browser: log in, find a group, merge, see the report, search; hostile names."""

from __future__ import annotations

import json
import re
import shutil
import time
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec
import pytest
from sqlalchemy import select
from starlette.routing import Route
from tests.fleet.samples import sighting
from tests.web.conftest import Login, csrf_of
from tests.web.fleet import PASSWORD

from kautopsy.fleet import queries, schema
from kautopsy.fleet.database import Database
from kautopsy.fleet.grouping.record import record
from kautopsy.fleet.nouns import GroupFilter
from kautopsy.fleet.readiness.record import record_drill
from kautopsy.model.base import to_json
from kautopsy.model.crash import TaskRef
from kautopsy.model.drill import DrillRecord, Stage, StageStatus
from kautopsy.model.finding import Evidence, TaskRole
from kautopsy.model.report import Report, System
from kautopsy.triage.textual import report_on_crash

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.guest,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian: chromium)"),
]
HOSTILE = "<script>document.title='owned'</script>"
COMM = "<script>own()//"
"""As long as the kernel lets a command's name be: TASK_COMM_LEN is 16 with its NUL."""
# What is no page: files, and what machines read.
NO_PAGES = ("/static/", "/api/", "/healthz", "/readyz", "/metrics")


def launched(playwright: Playwright) -> Browser:
    return playwright.chromium.launch(
        executable_path=CHROMIUM,
        args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
    )


def test_a_person_finds_merges_reads_and_searches(url: str, database: Database) -> None:
    from playwright.sync_api import sync_playwright

    hostile = sighting(31337, host=f"h{HOSTILE}", function="evil", module="evil", model=HOSTILE)
    with database.write() as connection:
        record(connection, [sighting(4000 + n, function=f"browsed_{n}") for n in (1, 2)])
        record(connection, [hostile])
        evil = queries.groups.ranked(connection, GroupFilter(text="evil")).groups[0].id
    complaints: list[str] = []
    with sync_playwright() as playwright:
        browser = launched(playwright)
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "request",
            lambda request: None if request.url.startswith((url, "data:"))
            else complaints.append(f"asked {request.url}"),
        )  # fmt: skip
        page.goto(url)
        page.fill("[name=name]", "triager")
        page.fill("[name=password]", PASSWORD)
        page.click("main button")
        page.click("text=browsed_1")
        group = page.url.rsplit("/", 1)[1]
        page.goto(url)
        page.click("text=browsed_2")
        page.fill("form[action$='/merge'] [name=into]", group)
        page.click("text=Merge into it")
        page.wait_for_selector("text=The groups are one.")
        assert page.url.split("?")[0].endswith(f"/groups/{group}")
        page.click("text=its full report")
        page.wait_for_selector("#verdict")
        assert "browsed_" in page.inner_text("#verdict")
        page.go_back()
        page.fill("[type=search]", "edac_poll")
        page.press("[type=search]", "Enter")
        page.click("h2:has-text('Functions') + ul a")
        page.wait_for_selector("text=BUG: unable to handle kernel NULL pointer dereference in edac")
        # Sorting by a click on a head, which the page's script does.
        page.goto(f"{url}/hosts")
        page.click("th button:has-text('host')")
        names = page.locator("tbody tr td:first-child").all_inner_texts()
        assert names == sorted(names, key=str.lower)
        number = evil
        for path in ("/", "/crashes", "/hosts", f"/groups/{number}", "/search?q=evil",
                     f"/hosts?text={HOSTILE}"):  # fmt: skip
            page.goto(url + path)
            assert page.title() != "owned"
            assert page.locator("script:not([src])").count() == 0
        page.goto(f"{url}/groups/{number}")
        crash = page.locator("a[href^='/crashes/']").first.get_attribute("href")
        page.goto(f"{url}{crash}/report")
        assert page.title() != "owned"
        for width in (1400, 400):
            page.set_viewport_size({"width": width, "height": 900})
            for path in ("/", f"/groups/{group}", "/readiness", "/admin/accounts"):
                page.goto(url + path)
                wide = page.evaluate("document.documentElement.scrollWidth")
                assert wide <= width, (path, width, wide)
        browser.close()
    # An administrator's page was asked for by a triager: the one refusal there has to be.
    assert [one for one in complaints if "403" not in one] == []


def hostile_report() -> Report:
    """A dump's report in which everything that its kernel could choose is a script."""
    crash = msgspec.structs.replace(
        sighting(31338, function="hostile", module="hostile").crash,
        task=TaskRef(pid=7, comm=COMM),
        modules=("hostile", HOSTILE),
        hardware=HOSTILE,
    )
    report = report_on_crash(crash)
    system = System(
        release=HOSTILE, version=HOSTILE, nodename="hostile01", machine="x86_64", cpus=1,
        memory_bytes=1 << 30, crash_time=time.time(), uptime_seconds=31338.0,
        load_average=(0.0, 0.0, 0.0), tasks=1, tainted=(), cpus_online=1, panic=HOSTILE,
    )  # fmt: skip
    finding = msgspec.structs.replace(
        report.findings[0],
        title=f"{COMM} waits",
        explanation=HOSTILE,
        tasks=(TaskRole(pid=7, comm=COMM, role="victim"),),
        evidence=(Evidence(what=COMM, value=HOSTILE, show=HOSTILE),),
    )
    return msgspec.structs.replace(report, system=system, findings=(finding,))


def test_what_a_dead_kernel_wrote_is_text_on_every_page(
    url: str, database: Database, login: Login
) -> None:
    """``<script>`` as a command's name, a release, a model …: no page runs it or holds it."""
    from playwright.sync_api import sync_playwright

    client = login("triager")
    csrf = {"x-csrf-token": csrf_of(client)}
    body = {"report": json.loads(to_json(hostile_report())), "host": "hostile01"}
    answer = client.post("/api/v1/reports", json=body, headers=csrf)
    assert answer.status_code == 200, answer.text
    crash, group = str(answer.json()["crash_id"]), str(answer.json()["group_id"])
    for form, path in (
        ({"text": HOSTILE}, f"/groups/{group}/notes"),
        ({"owner": HOSTILE}, f"/groups/{group}/owner"),
        ({"url": "https://a.example/", "label": HOSTILE}, f"/groups/{group}/links"),
        ({"text": HOSTILE}, f"/crashes/{crash}/notes"),
        ({"text": HOSTILE}, "/hosts/hostile01/notes"),
    ):
        sent = client.post(path, data={"csrf": csrf_of(client), **form})
        assert sent.status_code == 303, path
    with database.write() as connection:
        record_drill(
            connection,
            "hostile01",
            DrillRecord(
                passed=False,
                stages=(Stage(name=HOSTILE, status=StageStatus.FAILED, seconds=1, detail=COMM),),
                nonce=HOSTILE,
                dump=None,
                report=None,
            ),
            at=time.time(),
        )
        drill = str(connection.scalar(select(schema.drill.c.id)))
    values = {"group": group, "crash": crash, "host": "hostile01", "drill": drill}
    paths = [
        re.sub(r"\{(\w+)(:\w+)?\}", lambda found: values.get(found[1], "1"), route.path)
        for route in client.app.routes  # type: ignore[attr-defined]
        if isinstance(route, Route) and "GET" in (route.methods or ())
    ]
    paths = [path for path in paths if not path.startswith(NO_PAGES) and path != "/login"]
    paths += [
        f"/search?q={quote(HOSTILE)}", f"/search?q={quote(COMM)}", f"/?text={quote(HOSTILE)}",
        f"/diff?one={crash}&other=1", f"/hosts?text={quote(HOSTILE)}", f"/{quote(HOSTILE)}",
        f"/readiness?reason={quote(HOSTILE)}",
    ]  # fmt: skip
    trouble: list[str] = []
    shown = 0
    with sync_playwright() as playwright:
        browser = launched(playwright)
        page = browser.new_page()
        page.on("dialog", lambda dialog: trouble.append(dialog.message))
        # A policy that stops a script says that there was one.
        page.on(
            "console", lambda m: trouble.append(m.text) if "Security Policy" in m.text else None
        )
        page.goto(url)
        page.fill("[name=name]", "admin")
        page.fill("[name=password]", PASSWORD)
        page.click("main button")
        for path in paths:
            if path.endswith(".json"):
                continue
            got = page.goto(url + path)
            assert got is not None and got.status < 500, path
            assert page.title() != "owned", path
            # The report's own script is in its policy by its hash, and holds nothing of a dump.
            inline = page.locator("script:not([src])").all_inner_texts()
            assert not any("own()" in text or "owned" in text for text in inline), path
            assert len(inline) == path.endswith("/report"), path
            assert page.locator("[onload],[onerror],[onclick]").count() == 0, path
            shown += COMM in page.inner_text("body")
        browser.close()
    assert len(paths) > 20
    # They showed it, as text: the group's list, the crash, its report, the drill, the search.
    assert shown >= 5
    assert trouble == []
