"""The console's page for a new job in a real browser, on a pair: files in, a look chosen on a real frame, a quote,
a story as a timeline, and the same request for other programs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, Response, expect

from tests.interop.console_jobs import row, submit, upload
from tests.support import media
from tests.support.browser import axe, opened
from tests.support.until import until_sync
from tools.pair import Pair

pytestmark = [pytest.mark.interop, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("new")
    media.video(made / "talk.mp4", 2, "320x180")
    media.srt(made / "talk.srt", [(0.2, 1.8, "Hello there")])
    for name in ("one.png", "two.png"):
        media.image(made / name, "320x180")
    return made


def drop(page: Page, *files: Path) -> None:
    page.locator(".drop input[type=file]").set_input_files(list(files))


def seen(page: Page) -> str:
    """The link of the frame that is shown, once there is one."""
    expect(page.locator(".stage-filled")).to_be_visible()
    return str(page.locator(".stage-image").get_attribute("src"))


def is_of_the_stage(answer: Response) -> bool:
    """Whether a picture was asked for in the size of the stage; presets are smaller."""
    asked = json.loads(answer.request.post_data or "{}") if answer.url.endswith("/video/frame") else {}
    return bool(asked.get("width", 0) > 500 and "position" in asked["caption"].get("style", {}))


def expect_another(page: Page, before: str) -> None:
    expect(page.locator(".stage-image")).not_to_have_attribute("src", before)


def test_a_look_is_chosen_on_a_frame_and_the_job_is_sent(
    browser: Browser, pair: Pair, folder: Path, rules: Path
) -> None:
    with opened(browser, pair.key) as watched:
        page = watched.page
        page.goto(f"{pair.http_url}/#/new")
        expect(page.locator(".preset-picture img")).to_have_count(9)  # on a video that comes with the console
        drop(page, folder / "talk.mp4", folder / "talk.srt")
        plain = seen(page)
        page.locator(".preset", has_text="karaoke").click()
        expect_another(page, plain)
        with page.expect_response(is_of_the_stage) as answer:
            page.get_by_role("button", name="Nine places").click()
            page.get_by_role("radio", name="top left").first.check(force=True)
        assert json.loads(answer.value.request.post_data or "")["caption"]["style"] == {
            "preset": "karaoke",
            "position": "top-left",
        }
        expect(page.locator(".preset-picture img")).to_have_count(9)
        page.get_by_role("button", name="Quote first").click()
        expect(page.get_by_text("Nothing stands in its way")).to_be_visible()
        assert axe(page, rules) == []
        page.get_by_role("button", name="Send").click()
        page.wait_for_url("**/#/jobs/*")
        expect(page.get_by_text("done").first).to_be_visible()


def asked(answer: Response) -> dict[str, Any]:
    """What a frame was asked with."""
    told: dict[str, Any] = json.loads(answer.request.post_data or "{}")
    return told


def is_frame(width: int) -> Callable[[Response], bool]:
    """Whether a frame of a width was asked for of a video with subtitles of its own."""
    return lambda answer: (
        answer.url.endswith("/video/frame")
        and asked(answer)["width"] == width
        and "url_srt" in asked(answer)["caption"]
    )


def test_a_caption_is_to_be_seen_on_the_first_frame(
    browser: Browser, pair: Pair, http: httpx.Client, folder: Path, tmp_path: Path
) -> None:
    """The middle of a video, where the slider began, may have none, and all presets look alike there."""
    srt = media.srt(tmp_path / "early.srt", [(0.1, 0.4, "Hello there")])
    with opened(browser, pair.key) as watched:
        page = watched.page
        page.goto(f"{pair.http_url}/#/new")
        drop(page, folder / "talk.mp4")
        plain = seen(page)
        expect(page.locator("output[for=stage-at]")).to_have_text("0:01.0")
        with page.expect_response(is_frame(720)) as stage, page.expect_response(is_frame(260)) as preset:
            drop(page, srt)
        assert [one for one in (stage, preset) if "at_seconds" in asked(one.value)] == []
        expect_another(page, plain)
        expect(page.locator("output[for=stage-at]")).to_have_text("first caption")
        with page.expect_response(is_frame(720)) as moved:
            page.locator("#stage-at").press("End")
        assert asked(moved.value)["at_seconds"] > 1.9
        expect(page.locator("output[for=stage-at]")).to_have_text("0:01.9")
        # What the page asked for itself is none of the caller's jobs.
        made = {
            job["operation"]
            for job in http.get("/jobs").json()["jobs"]
            if job.get("metadata") == {"console": "preview"}
        }
        assert made == {"frame", "probe", "thumbnail"}
        page.goto(f"{pair.http_url}/#/jobs?operation=")
        page.get_by_role("searchbox").fill("console: preview")
        expect(page.get_by_text("Nothing matches")).to_be_visible()
        # A caller's is shown, whatever its notes are.
        url = upload(http, "talk.mp4", folder / "talk.mp4")
        callers = submit(http, "probe", url=url, metadata={"console": "preview", "ticket": "7"})
        expect(row(page, callers)).to_be_visible()


def test_a_story_is_a_timeline_with_a_focus_point(browser: Browser, pair: Pair, folder: Path, rules: Path) -> None:
    with opened(browser, pair.key, viewport={"width": 390, "height": 844}, color_scheme="dark") as watched:
        page = watched.page
        page.goto(f"{pair.http_url}/#/new?operation=story")
        drop(page, folder / "one.png", folder / "two.png", folder / "talk.mp4")
        whole = seen(page)
        page.get_by_role("button", name="Focus point", exact=True).click()
        expect_another(page, whole)
        page.locator(".point").focus()
        for _ in range(3):
            page.keyboard.press("Shift+ArrowLeft")
        expect(page.locator(".point")).to_have_attribute(
            "aria-label", "Focus point: 20 % across, 50 % down. Arrow keys move it"
        )
        # The timeline has the scenes, and no text of JSON beside it.
        expect(page.locator(".field[data-field=scenes]")).to_have_count(0)
        expect(page.locator("[data-field=max_cost_usd] label")).to_have_text("Max cost USD")
        page.locator(".scene-button").nth(2).press("Alt+ArrowLeft")
        expect(page.locator(".scene-name")).to_have_text(["1. one.png", "2. talk.mp4", "3. two.png"])
        assert axe(page, rules) == []
        with page.expect_response("**/jobs") as answer:
            page.get_by_role("button", name="Quote first").click()
        scenes = json.loads(answer.value.request.post_data or "")["story"]["scenes"]
        assert [sorted(set(scene) - {"duracao"}) for scene in scenes] == [
            ["image_url", "motion"],
            ["url_video"],
            ["image_url"],
        ]
        assert scenes[0]["motion"] == {"focusX": 0.2, "focusY": 0.5}
        expect(page.get_by_text("Nothing stands in its way")).to_be_visible()


def test_what_is_wrong_is_told_and_requests_are_copied(browser: Browser, pair: Pair, folder: Path) -> None:
    with opened(browser, pair.key, permissions=["clipboard-read", "clipboard-write"]) as watched:
        page = watched.page
        page.goto(f"{pair.http_url}/#/new")
        page.get_by_label("Links to files").fill("https://example.invalid/it's.mp4 https://example.invalid/a.srt")
        page.get_by_role("button", name="Add links").click()
        for name, part in (("curl", "it'\\''s.mp4"), ("Python", '"url_video": "https://example.invalid/it\'s.mp4"')):
            page.get_by_role("button", name=name).click()
            expect(page.get_by_text(f"Copied: {name}")).to_be_visible()
            assert part in page.evaluate("navigator.clipboard.readText()")
        page.get_by_role("button", name="n8n node").click()
        expect(page.get_by_text("Copied: n8n node")).to_be_visible()
        (node,) = json.loads(page.evaluate("navigator.clipboard.readText()"))["nodes"]
        body = json.loads(node["parameters"]["jsonBody"])
        assert body == {
            "caption": {"url_video": "https://example.invalid/it's.mp4", "url_srt": "https://example.invalid/a.srt"}
        }
        page.get_by_role("button", name="Quote first").click()
        expect(page.get_by_text("It would fail")).to_be_visible()
        watched.forgive("status of 4")
        watched.forgive("status of 5")


def test_what_is_told_in_part_is_not_sent_again(browser: Browser, pair: Pair) -> None:
    """The gateway keeps the secrets in links to itself: a job that is made anew from another must not use the mask."""
    asked = {"caption": {"url_video": "https://example.invalid/a.mp4?***", "url_srt": "https://example.invalid/a.srt"}}
    options = {"webhook_url": "https://example.invalid/hook?***", "output": {"headers": {"authorization": "***"}}}
    told = {"id": "1", "operation": "caption", "request": {"operation": asked, "options": options}}
    with opened(browser, pair.key, permissions=["clipboard-read", "clipboard-write"]) as watched:
        page = watched.page
        page.route("**/job/1", lambda route: route.fulfill(json=told))
        page.goto(f"{pair.http_url}/#/new?from=1")
        expect(page.get_by_text("Links and secrets that are told in part were left out.")).to_be_visible()
        expect(page.get_by_text("a.mp4: only a part of this link is known.")).to_be_visible()
        page.get_by_role("button", name="curl").click()
        expect(page.get_by_text("Copied: curl")).to_be_visible()
        copied = page.evaluate("navigator.clipboard.readText()")
        assert "a.srt" in copied
        assert "***" not in copied
        page.get_by_role("button", name="Send").click()
        expect(page.locator(".toast", has_text="only a part of this link is known")).to_be_visible()


def test_a_file_that_is_taken_back_is_sent_no_further(
    browser: Browser, pair: Pair, http: httpx.Client, tmp_path: Path
) -> None:
    large = tmp_path / "taken-back.mp4"
    large.write_bytes(b"0" * 8_000_000)
    with opened(browser, pair.key) as watched:
        page, gone = watched.page, list[str]()
        page.on("requestfailed", lambda request: gone.append(request.url))
        page.goto(f"{pair.http_url}/#/new")
        slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 200_000}
        page.context.new_cdp_session(page).send("Network.emulateNetworkConditions", slow)
        drop(page, large)
        expect(page.get_by_role("progressbar", name="taken-back.mp4: on its way")).to_be_visible()
        page.get_by_role("button", name="Remove: taken-back.mp4").click()
        until_sync(lambda: any("taken-back.mp4" in url for url in gone), 60)
        expect(page.get_by_role("alert")).to_have_count(0)
    assert "taken-back.mp4" not in [one["filename"] for one in http.get("/assets").json()["assets"]]
