"""The page that tries the API, in a real browser: a call with the key works, and nothing is asked of another host."""

import re
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, expect

from tests.support.browser import opened
from tools.pair import Pair

pytestmark = [pytest.mark.interop, pytest.mark.timeout(300)]

LISTING = "[id$=JobService_ListJobs]"


def test_a_call_is_tried_with_a_key_and_nothing_leaves_the_host(browser: Browser, pair: Pair) -> None:
    with opened(browser) as watched:
        page, asked = watched.page, list[str]()
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{pair.http_url}/docs")
        expect(page.locator("[id$=VideoService_Caption]")).to_contain_text("Burns subtitles into a video")
        page.click("button.authorize")
        page.fill(".auth-container input", pair.key)
        page.click(".auth-btn-wrapper .authorize")
        page.click(".btn-done")
        page.click(f"{LISTING} .opblock-summary-control")
        page.click(f"{LISTING} .execute")
        answer = page.locator(f"{LISTING} .live-responses-table .response")
        expect(answer).to_contain_text("200")
        expect(answer).to_contain_text('"jobs"')
        page.click("[id$=VideoService_Caption] .opblock-summary-control")
        expect(page.locator("[id$=VideoService_Caption] textarea")).to_have_value(re.compile("talk.mp4"))
        hosts = {urlsplit(url).netloc for url in asked if not url.startswith("data:")}
        assert hosts == {urlsplit(pair.http_url).netloc}


def test_the_key_of_the_console_is_taken_along_and_pages_lead_to_each_other(browser: Browser, pair: Pair) -> None:
    with opened(browser, pair.key) as watched:
        page = watched.page
        page.goto(f"{pair.http_url}/docs/")
        page.click(f"{LISTING} .opblock-summary-control")
        page.click(f"{LISTING} .execute")
        expect(page.locator(f"{LISTING} .live-responses-table .response")).to_contain_text("200")
        page.click("text=Errors and warnings")
        expect(page.locator("h1")).to_have_text("Reasons of errors and warnings")
        page.click("text=All pages")
        page.click("text=Quickstart >> nth=0")
        expect(page.locator("h1")).to_have_text("Quickstart")
        page.goto(f"{pair.http_url}/docs/reasons")
        expect(page.locator("#the-request")).to_be_visible()
