"""What the console tells of attempts, and what it does with several jobs at once, in a real browser on a pair."""

from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, expect

from tests.interop.console_jobs import address, ended, row, submit, upload
from tests.support import media
from tests.support.browser import axe, opened
from tests.support.until import until_sync
from tools.pair import Pair

pytestmark = [pytest.mark.interop, pytest.mark.timeout(600)]

# What the console notes of jobs of its own; other tests submit jobs with this note and another, which are a caller's.
PREVIEW = {"console": "preview"}
# The page lists the jobs of other tests too, and some name files that there are not.
GONE = "404 (Not Found)"


@pytest.fixture(scope="module")
def names(http: httpx.Client, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Assets: a short film, and its subtitles."""
    folder = tmp_path_factory.mktemp("console")
    film, srt = (
        media.video(folder / "talk.mp4", 2, "320x180"),
        media.srt(folder / "talk.srt", [(0.2, 1.8, "Hello there")]),
    )
    return {"film": upload(http, "talk.mp4", film), "srt": upload(http, "talk.srt", srt)}


def test_what_ffmpeg_said_and_each_attempt_are_told(
    browser: Browser, pair: Pair, http: httpx.Client, names: dict[str, str], tmp_path: Path, rules: Path
) -> None:
    sound = media.tone(tmp_path / "voice.flac", 2).read_bytes()
    (tmp_path / "cut.flac").write_bytes(sound[: len(sound) * 6 // 10])
    cut = upload(http, "cut.flac", tmp_path / "cut.flac")
    still = upload(http, "a.png", media.image(tmp_path / "a.png"))
    warned = submit(http, "addaudio", url_video=names["film"], url_audio=cut, allow_partial=True)
    images = [
        {"id": name, "image_url": source, "duracao": 1} for name, source in (("good", still), ("odd", names["srt"]))
    ]
    batch = submit(http, "img2vid", images=images)
    assert "decode_frame() failed" in http.get(f"/job/{ended(http, warned)['id']}/log").json()["logs"][0]["text"]
    ended(http, batch)
    with opened(browser, pair.key, color_scheme="dark") as watched:
        page = watched.page
        page.goto(address(pair, f"/jobs/{warned}"))
        expect(page.get_by_role("region", name="FFmpeg's log")).to_contain_text("decode_frame() failed")
        assert axe(page, rules) == []
        page.goto(address(pair, f"/jobs/{batch}"))
        tried = page.get_by_role("region", name="Attempts").get_by_role("listitem")
        expect(tried).to_have_count(2)
        expect(tried.filter(has_text="good")).to_contain_text("x264")
        expect(tried.filter(has_text="odd")).to_contain_text("Failed")
        assert axe(page, rules) == []


def test_chips_count_the_jobs_that_are_listed(
    browser: Browser, pair: Pair, http: httpx.Client, names: dict[str, str]
) -> None:
    """Previews are jobs too: each look at a frame would else be told as a job of the caller's."""
    caption = {"url_video": names["film"], "url_srt": names["srt"]}
    previews = [submit(http, "frame", caption=caption, at_seconds=at, width=160) for at in (0.5, 1)]
    for job_id in (*previews, submit(http, "thumbnail", url_video=names["film"])):
        assert ended(http, job_id)["status"] == "COMPLETED"
    with opened(browser, pair.key) as watched:
        page = watched.page
        page.goto(address(pair))
        told = http.get("/jobs", params={"page_size": 1000}).json()["jobs"]
        listed = sum(job["operation"] != "frame" and job.get("metadata") != PREVIEW for job in told)
        everything = page.locator(".chip[data-status='']")
        expect(everything).to_have_text(f"All{listed}")
        page.locator(".chip[data-status=COMPLETED]").click()
        expect(page.locator(".chip[data-status=COMPLETED]")).to_have_attribute("aria-pressed", "true")
        expect(everything).to_have_text(f"All{listed}")
        page.get_by_label("Operation").select_option(label="All operations")
        expect(everything).to_have_text(f"All{len(told)}")
        page.wait_for_load_state("networkidle")
        watched.forgive(GONE)


def test_an_empty_input_is_no_picture_that_cannot_be_had(browser: Browser, pair: Pair, http: httpx.Client) -> None:
    """Asked for by a range, it is a 416 on the browser's console."""
    asset = http.put("/assets", params={"filename": "empty.mp4"}, content=b"").raise_for_status().json()["name"]
    job_id = submit(http, "thumbnail", url_video=asset)
    assert ended(http, job_id)["status"] == "FAILED"
    with opened(browser, pair.key) as watched:
        with watched.page.expect_response(f"**/{asset}"):
            watched.page.goto(address(pair))
        expect(row(watched.page, job_id)).to_contain_text("the file is empty")
        watched.page.wait_for_load_state("networkidle")
        watched.forgive(GONE)


def test_several_jobs_are_picked_cancelled_retried_and_saved(
    browser: Browser, pair: Pair, http: httpx.Client, names: dict[str, str], tmp_path: Path, rules: Path
) -> None:
    still = upload(http, "many.png", media.image(tmp_path / "many.png"))
    done = [submit(http, "thumbnail", url_video=names["film"], metadata={"bulk": "done"}) for _ in range(2)]
    for job_id in done:
        assert ended(http, job_id)["status"] == "COMPLETED"
    long = {"images": [{"id": "1", "image_url": still, "duracao": 600}], "metadata": {"bulk": "long"}}
    running = [submit(http, "img2vid", **long) for _ in range(3)]
    with opened(browser, pair.key) as watched:
        page = watched.page
        page.goto(address(pair, "/jobs?q=bulk=long"))
        bar = page.get_by_role("region", name="Picked jobs")
        expect(page.locator("job-row")).to_have_count(3)
        expect(bar).to_be_hidden()
        row(page, running[2]).locator(".job-title").focus()
        page.keyboard.press("x")
        page.keyboard.press("Shift+ArrowDown")
        expect(bar).to_contain_text("2 picked")
        expect(row(page, running[0]).get_by_role("checkbox")).not_to_be_checked()
        assert axe(page, rules) == []
        bar.get_by_role("button", name="Cancel 2").click()
        page.get_by_role("dialog").get_by_role("button", name="Cancel the jobs").click()
        for job_id in running[1:]:
            expect(row(page, job_id).get_by_text("Cancelled", exact=True)).to_be_visible()
        assert http.get(f"/job/{running[0]}").json()["status"] != "CANCELLED"
        page.get_by_label("Pick all jobs that are loaded").check()
        expect(bar).to_contain_text("3 picked")
        bar.get_by_role("button", name="Cancel 1").click()
        page.get_by_role("dialog").get_by_role("button", name="Cancel the job").click()
        expect(row(page, running[0]).get_by_text("Cancelled", exact=True)).to_be_visible()
        page.keyboard.press("Escape")
        expect(bar).to_be_hidden()
        page.get_by_role("searchbox").fill("bulk=done")
        expect(page.locator("job-row")).to_have_count(2)
        row(page, done[1]).get_by_role("checkbox").check()
        row(page, done[0]).get_by_role("checkbox").click(modifiers=["Shift"])
        saved: list[str] = []
        page.on("download", lambda one: saved.append(one.suggested_filename))
        bar.get_by_role("button", name="Download 2").click()
        expect(page.get_by_text("2 files are saved")).to_be_visible()
        until_sync(lambda: len(saved) == 2, 60)
        bar.get_by_role("button", name="Retry 2").click()
        expect(page.get_by_text("2 jobs were queued anew")).to_be_visible()
        expect(page.locator("job-row")).to_have_count(4)
