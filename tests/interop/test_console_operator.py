"""The console's page for operators in a real browser, on a pair: its figures and its plots are those of the API."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, expect

from tests.support import media
from tests.support.browser import axe, opened
from tools.pair import Pair

pytestmark = [pytest.mark.interop, pytest.mark.timeout(600)]


def work(pair: Pair, folder: Path) -> dict[str, Any]:
    """Have two jobs end, one of them badly; return the figures of all jobs of the pair, which other tests use too."""
    with httpx.Client(base_url=pair.http_url, headers={"x-api-key": pair.key}, timeout=120) as http:
        before = http.get("/fleet").raise_for_status().json()["recent"]
        video = media.video(folder / "a.mp4", 1, "160x90").read_bytes()
        name = http.put("/assets/a.mp4", content=video).raise_for_status().json()["name"]
        for at in (0.5, 99):
            http.post("/video/thumbnail", json={"url_video": name, "at_seconds": at})
        told = http.get("/fleet").raise_for_status().json()
    recent: dict[str, Any] = told["recent"]
    assert [recent[name] - before.get(name, 0) for name in ("ended", "failed", "started")] == [2, 1, 2]
    assert recent["waitP50Seconds"] <= recent["waitP95Seconds"]
    (encoder,) = told["encoders"]
    assert (encoder["ready"], encoder["codecs"], encoder["rented"]) == (True, ["x264"], False)
    assert encoder["knownAs"].startswith("encoder-")
    assert told["disk"]["sizeBytes"] > told["disk"]["freeBytes"] > told["disk"]["floorBytes"]
    return recent


def test_an_operator_sees_how_the_service_fares(browser: Browser, pair: Pair, rules: Path, tmp_path: Path) -> None:
    recent = work(pair, tmp_path)
    today = datetime.now(UTC).date()
    spent = [
        {"date": str(today - timedelta(days=day)), "provider": provider, "usd": 0.5}
        for day in range(3)
        for provider in ("vast", "runpod")
    ]
    with opened(browser, pair.key) as watched:
        page = watched.page
        page.route("**/fleet/costs*", lambda route: route.fulfill(json={"days": spent}))
        page.goto(f"{pair.http_url}/#/operator")
        failed = page.locator(".figure", has_text="Failed in 24 h")
        expect(failed).to_contain_text(f"{recent['failed']} / {recent['ended']}")
        expect(page.get_by_role("region", name="Encoders", exact=True)).to_contain_text("x264")
        expect(page.get_by_text("Nothing is rented")).to_be_visible()
        dollars = page.get_by_role("img", name="Dollars by provider, 14 days: $3.00 in 14 days")
        expect(dollars.locator("rect")).to_have_count(28)
        tall = [box["height"] for bar in dollars.locator("rect").all() if (box := bar.bounding_box())]
        assert len([height for height in tall if height > 1]) == 6
        page.get_by_text("As a table").first.click()
        expect(page.get_by_role("table", name="Dollars by provider").get_by_role("row")).to_have_count(4)
        assert axe(page, rules) == []


def test_a_key_that_may_not_see_it_is_told_so(browser: Browser, pair: Pair, rules: Path) -> None:
    refused = {"message": "This call needs a key with one of the scopes: fleet.", "code": 7}
    with opened(browser, pair.key, color_scheme="dark", viewport={"width": 390, "height": 844}) as watched:
        page = watched.page
        page.route("**/fleet", lambda route: route.fulfill(status=403, json=refused))
        page.goto(f"{pair.http_url}/#/operator")
        expect(page.get_by_role("alert").first).to_contain_text("fleet")
        expect(page.get_by_role("region", name="Usage", exact=True)).to_contain_text("Work of encoders")
        assert axe(page, rules) == []
        watched.forgive("status of 403")


def test_what_fails_stays_told_while_the_rest_goes_well(browser: Browser, pair: Pair) -> None:
    with opened(browser, pair.key) as watched:
        page = watched.page
        page.route("**/fleet", lambda route: route.abort())
        page.goto(f"{pair.http_url}/#/operator")
        expect(page.get_by_role("alert")).to_contain_text("The gateway cannot be reached")
        expect(page.get_by_role("region", name="Dollars", exact=True).get_by_role("heading").first).to_be_visible()
        assert page.get_by_role("alert").count() == 1
        page.unroute("**/fleet")
        expect(page.get_by_role("alert")).to_have_count(0)
        watched.forgive("ERR_FAILED")
