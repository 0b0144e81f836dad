"""A person at a browser: log in, find a group, merge, see the report, search; hostile names."""

from __future__ import annotations

import shutil
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from tests.fleet.samples import sighting
from tests.web.fleet import PASSWORD

from kautopsy.fleet import queries
from kautopsy.fleet.database import Database
from kautopsy.fleet.files import DataFolder
from kautopsy.fleet.grouping.record import record
from kautopsy.fleet.nouns import GroupFilter
from kautopsy.fleet.settings import Settings
from kautopsy.web.app import create_app
from kautopsy.web.config import WebConfig

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.guest,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian: chromium)"),
]
HOSTILE = "<script>document.title='owned'</script>"


@pytest.fixture
def url(database: Database, folder: Path) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        address = f"http://127.0.0.1:{port}"
        app = create_app(
            database,
            WebConfig(public_url=address),
            data=DataFolder(folder / "data"),
            settings=Settings(),
        )
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started:
            time.sleep(0.05)
        yield address
        server.should_exit = True
        thread.join()


def test_a_person_finds_merges_reads_and_searches(url: str, database: Database) -> None:
    from playwright.sync_api import sync_playwright

    hostile = sighting(31337, host=f"h{HOSTILE}", function="evil", module="evil", model=HOSTILE)
    with database.write() as connection:
        record(connection, [sighting(4000 + n, function=f"browsed_{n}") for n in (1, 2)])
        record(connection, [hostile])
        evil = queries.groups.ranked(connection, GroupFilter(text="evil")).groups[0].id
    complaints: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
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
