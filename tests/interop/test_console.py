"""The console in a real browser, on a running pair: each flow from end to end, without an error on its console, or a
breach of its policy, and by the rules of accessibility (axe-core)."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.interop.console_jobs import address, ended, row, submit, upload
from tests.support import media
from tests.support.browser import Watched, axe, opened
from tests.support.until import until_sync
from tools.pair import Pair, running

pytestmark = [pytest.mark.interop, pytest.mark.timeout(600)]

BAD_NAME = "<img src=x onerror=alert(1)>.mp4"
NARROW = {"width": 390, "height": 800}
MANY = 10_000


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """A pair whose jobs are those of these tests: of a picture that is gone the browser itself complains."""
    with running(tmp_path_factory.mktemp("pair"), FETCH_ALLOW_CIDRS="127.0.0.0/8,::1/128") as started:
        yield started


@pytest.fixture(scope="module")
def names(http: httpx.Client, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Assets: a short film, its subtitles with a letter that no font has, and a text that has no subtitles."""
    folder = tmp_path_factory.mktemp("console")
    film = media.video(folder / "talk.mp4", 2, "320x180")
    srt = media.srt(folder / "talk.srt", [(0.2, 1.8, "Hello \U000f0000 there")])
    files = {"film": ("talk.mp4", film), "srt": ("talk.srt", srt), "odd": (BAD_NAME, film)}
    return {name: upload(http, filename, path) for name, (filename, path) in files.items()}


def test_the_key_is_typed_once_and_stays_in_the_session(browser: Browser, pair: Pair, rules: Path) -> None:
    with opened(browser) as watched:
        page = watched.page
        page.goto(pair.http_url)
        page.get_by_role("textbox", name="API key").fill("wrong")
        assert axe(page, rules) == []
        page.get_by_role("button", name="Open the console").click()
        expect(page.get_by_text("This key is not right")).to_be_visible()
        watched.forgive("401")
        page.get_by_role("textbox", name="API key").fill(pair.key)
        page.keyboard.press("Enter")
        expect(page.get_by_role("link", name="Jobs")).to_have_attribute("aria-current", "page")
        expect(page.get_by_role("dialog")).to_have_count(0)
        page.reload()
        expect(page.get_by_role("group", name="State")).to_be_visible()
        assert pair.key not in page.url
        assert pair.key not in json.dumps(page.evaluate("({...localStorage})"))
        assert page.context.cookies() == []
        with page.context.expect_page() as opening:
            page.get_by_role("link", name="API", exact=True).click()
        opening.value.wait_for_load_state()
        assert opening.value.evaluate("sessionStorage.getItem('api-gpu.key')") == pair.key
        opening.value.close()
        page.route("**/jobs?*", lambda route: route.abort())
        expect(page.get_by_role("alert")).to_contain_text("The gateway cannot be reached")
        page.unroute("**/jobs?*")
        expect(page.get_by_role("alert")).to_have_count(0)
        watched.forgive("ERR_FAILED")
        page.get_by_role("button", name="Forget key").click()
        expect(page.get_by_role("dialog", name="API key")).to_be_visible()


def test_a_job_is_followed_played_and_downloaded(
    browser: Browser, pair: Pair, http: httpx.Client, names: dict[str, str], rules: Path, tmp_path: Path
) -> None:
    with opened(browser, pair.key) as watched:
        page = watched.page
        page.goto(address(pair))
        expect(page.get_by_role("group", name="State")).to_be_visible()
        job_id = submit(
            http, "caption", url_video=names["film"], url_srt=names["srt"], metadata={"episode": "twelve & more"}
        )
        mine = row(page, job_id)
        expect(mine.get_by_text("Done")).to_be_visible()
        expect(mine.get_by_text("episode: twelve & more")).to_be_visible()
        expect(mine.get_by_text("1 warning")).to_be_visible()
        expect(mine.locator(".job-picture img")).to_be_visible()
        assert axe(page, rules) == []
        mine.get_by_role("button", name="Play").click()
        playing = page.get_by_role("dialog").locator("video")
        until_sync(lambda: playing.evaluate("video => video.currentTime > 0.2"), 60)
        assert playing.evaluate("video => [video.videoWidth, video.videoHeight]") == [320, 180]
        assert axe(page, rules) == []
        page.keyboard.press("Escape")
        with page.expect_download() as saved:
            mine.get_by_role("link", name="Download").click()
        saved.value.save_as(tmp_path / "saved.mp4")
        told = ended(http, job_id)
        assert (tmp_path / "saved.mp4").read_bytes() == httpx.get(told["output"]["video_url"]).content
        check_detail(page, job_id, rules)


def check_detail(page: Page, job_id: str, rules: Path) -> None:
    """The job's own page: what happened to it, its warnings, its result beside its input."""
    row(page, job_id).locator(".job-title").click()
    timeline = page.get_by_role("region", name="Timeline")
    for event in ("Accepted", "Taken by 127.0.0.1:", "FFmpeg is done", "Done"):
        expect(timeline.get_by_text(event, exact=event == "Done")).to_be_visible()
    expect(page.get_by_role("region", name="Warnings").get_by_text("MISSING_GLYPHS")).to_be_visible()
    expect(page.get_by_role("region", name="Result").get_by_text("SHA-256")).to_be_visible()
    expect(page.get_by_role("region", name="Inputs").get_by_text("talk.srt")).to_be_visible()
    expect(page.get_by_role("region", name="Inputs").get_by_text("2.0 s · 320 × 180 · h264 · ")).to_be_visible()
    edge = page.get_by_role("slider", name="Part that shows the input")
    edge.focus()
    page.keyboard.press("End")
    shown = page.locator("before-after .stage").evaluate("stage => stage.style.getPropertyValue('--split')")
    assert shown == "100%"
    until_sync(lambda: page.locator("before-after video.before").evaluate("video => video.readyState >= 2"), 60)
    page.get_by_role("button", name="Play").click()
    both = "pair => [...pair.querySelectorAll('video')].every((video) => video.currentTime > 0.2)"
    until_sync(lambda: page.locator("before-after").evaluate(both), 60)
    assert axe(page, rules) == []
    page.get_by_role("button", name="Run again").click()
    expect(page.get_by_text("a retry of")).to_be_visible()
    expect(page.get_by_text("Done", exact=True).first).to_be_visible()
    assert job_id not in page.url


def test_an_error_says_what_to_do_and_filters_find_it(
    browser: Browser, pair: Pair, http: httpx.Client, names: dict[str, str], rules: Path
) -> None:
    failed = submit(http, "caption", url_video=names["srt"], url_srt=names["srt"], metadata={"customer": "Blåbær"})
    good = submit(http, "thumbnail", url_video=names["odd"])
    message = ended(http, failed)["error"]["message"]
    assert ended(http, good)["status"] == "COMPLETED"
    with opened(browser, pair.key, color_scheme="dark") as watched:
        page = watched.page
        page.goto(address(pair))
        expect(row(page, failed).get_by_text(message)).to_be_visible()
        expect(row(page, failed).get_by_role("button", name="Retry")).to_be_visible()
        expect(row(page, good).get_by_text(BAD_NAME)).to_be_visible()
        assert axe(page, rules) == []
        page.get_by_role("button", name="Failed").click()
        expect(row(page, good)).to_have_count(0)
        expect(row(page, failed)).to_be_visible()
        page.get_by_role("button", name="Failed").click()
        page.keyboard.press("/")
        page.keyboard.type("blåbær")
        expect(page.locator("job-row")).to_have_count(1)
        page.get_by_role("searchbox").fill("customer=Blåbær")
        expect(page.locator("job-row")).to_have_count(1)
        page.get_by_role("searchbox").fill("nothing has this")
        page.get_by_role("button", name="Show all jobs").click()
        expect(row(page, good)).to_be_visible()
        page.get_by_label("Operation").select_option("thumbnail")
        expect(row(page, failed)).to_have_count(0)
        page.goto(address(pair, f"/jobs/{failed}"))
        expect(page.get_by_text(message).first).to_be_visible()
        assert axe(page, rules) == []


def test_a_job_is_cancelled_by_keyboard(
    browser: Browser, pair: Pair, http: httpx.Client, tmp_path: Path, rules: Path
) -> None:
    still = upload(http, "long.png", media.image(tmp_path / "long.png"))
    job_id = submit(http, "img2vid", images=[{"id": "1", "image_url": still, "duracao": 600}])
    with opened(browser, pair.key, reduced_motion="reduce") as watched:
        page = watched.page
        page.goto(address(pair))
        mine = row(page, job_id)
        expect(mine.get_by_role("progressbar")).to_be_visible()
        expect(mine.get_by_text("/14,400")).to_be_visible()
        assert axe(page, rules) == []
        mine.get_by_role("button", name="Cancel").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("dialog", name="Cancel this job?")).to_be_visible()
        assert axe(page, rules) == []
        page.keyboard.press("Tab")  # from the way back, on which nothing is lost
        page.keyboard.press("Enter")
        expect(mine.get_by_text("Cancelled", exact=True)).to_be_visible()
    assert ended(http, job_id)["status"] == "CANCELLED"


def test_on_a_narrow_screen_nothing_is_cut_off(
    browser: Browser, pair: Pair, http: httpx.Client, names: dict[str, str], rules: Path
) -> None:
    ended(http, submit(http, "thumbnail", url_video=names["odd"]))
    for scheme in ("light", "dark"):
        with opened(browser, pair.key, viewport=NARROW, color_scheme=scheme) as watched:
            page = watched.page
            page.goto(address(pair))
            expect(page.locator("job-row").first).to_be_visible()
            assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
            assert axe(page, rules) == []
            page.locator(".job-title").first.click()
            expect(page.get_by_role("region", name="Timeline")).to_be_visible()
            assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
            assert axe(page, rules) == []


def many(route: Route, watched: Watched) -> None:
    """Answer as a gateway with very many jobs would: pages of the list, by a token."""
    asked = httpx.URL(route.request.url).params
    first, size = int(asked.get("page_token") or 0), int(asked["page_size"])
    last = min(MANY, first + size)
    times = {"createTime": "2026-01-01T00:00:00.000Z", "startTime": "2026-01-01T00:00:01.000Z"}
    ended = {"status": "COMPLETED", "delayTime": 1000, "executionTime": 1000, "total": 1, "processed": 1}
    jobs = [
        {
            **{"id": f"{MANY - number:032x}", "operation": "caption"} | times | ended,
            "inputs": [{"field": "url_video", "name": f"film {number}.mp4"}],
        }
        for number in range(first, last)
    ]
    token = str(last) if last < MANY else ""
    route.fulfill(json={"jobs": jobs, "nextPageToken": token, "counts": {"COMPLETED": MANY}})


def test_ten_thousand_jobs_scroll_with_few_elements(browser: Browser, pair: Pair) -> None:
    with opened(browser, pair.key) as watched:
        page = watched.page
        page.route("**/jobs?*", lambda route: many(route, watched))
        page.goto(address(pair))
        expect(page.get_by_role("button", name="All 10,000")).to_be_visible()
        for _ in range(200):
            page.evaluate("window.scrollTo(0, document.documentElement.scrollHeight)")
            if page.get_by_text("10,000 jobs. That is all.").count():
                break
            page.wait_for_timeout(20)
        page.evaluate("window.scrollTo(0, document.documentElement.scrollHeight)")
        expect(page.get_by_text("film 9999.mp4")).to_be_visible()
        assert page.locator("job-row").count() < 60
        # A keyboard goes through the rows in their order, also where they are not there yet.
        page.get_by_role("link", name="film 9999.mp4").focus()
        for _ in range(30):
            page.keyboard.press("ArrowUp")
        assert page.evaluate("document.activeElement.textContent") == "film 9969.mp4"
        page.get_by_role("searchbox").fill("film 7123.mp4")
        expect(page.locator("job-row")).to_have_count(1)


def test_what_is_said_of_places_and_times(browser: Browser, pair: Pair) -> None:
    """A waiting job starts when the gateway says so, of which the time that has passed since is taken off."""
    running = {"id": "4", "status": "IN_PROGRESS", "total": 1, "operation": "caption"}
    running["progress"] = {"framesDone": 143, "framesTotal": 240, "fps": 10.6, "secondsLeft": 9.2, "phase": "ENCODING"}
    places = [{"place": 1, "phase": "WAITING_FOR_WORKER", "startsInSeconds": 9}, {"place": 2, "startsInSeconds": 40}]
    places.append({"place": 3, "phase": "WAITING_FOR_WORKER"})
    waiting = [{"id": "5", "status": "IN_QUEUE", "operation": "caption", "queued": it} for it in places]
    say = """async (jobs) => {
        const { progressText } = await import("/console/jobs/describe.js");
        const earlier = { ...jobs[2], queued: { ...jobs[2].queued, toldAt: Date.now() - 10_000 } };
        return [...jobs, earlier].map((job) => progressText(job));
    }"""
    with opened(browser, pair.key) as watched:
        watched.page.goto(address(pair))
        assert watched.page.evaluate(say, [running, *waiting]) == [
            "143/240 · 11 fps · 9 s left",
            "next in line · starts in about 9 s",
            "number 2 · starts in about 40 s",
            "number 3 · waits for a free encoder",
            "number 2 · starts in about 30 s",
        ]


def test_addresses_lead_to_jobs_alone(browser: Browser, pair: Pair) -> None:
    """A link that somebody sent has the console read no other address of the API, nor a file that they stored."""
    with opened(browser, pair.key) as watched:
        page, asked = watched.page, []
        page.on("request", lambda request: asked.append(httpx.URL(request.url).path))
        for odd in ("..%2Ffleet", "..", "x%2F..%2F..%2Ffiles%2Fid%2Fa.json%3Fsignature=1", "%", "a%20b"):
            page.goto(address(pair, f"/jobs/{odd}"))
            page.wait_for_url("**/#/jobs")
        assert not [path for path in asked if path.startswith(("/job/", "/files/", "/fleet", "/webhooks"))]


OPEN_LONG = """async () => {
    const { JobList } = await import("/console/jobs/store.js");
    const list = new JobList();
    await list.reset({ hidden: "frame", text: "" });
    const before = [list.shown.map((job) => job.id), list.hiddenCount];
    const now = Date.now;
    try {
        await list.refresh(new Set(["3"]));
        const later = list.shown.map((job) => job.id);
        Date.now = () => now() + 7 * 3600 * 1000;
        await list.refresh(new Set([later[0]]));
        return [...before, later, list.shown.map((job) => job.id)];
    } finally {
        Date.now = now;
    }
}"""


def test_a_list_that_is_open_all_day_shows_what_there_is(browser: Browser, pair: Pair) -> None:
    """Frames are not shown among jobs; what is gone is taken out, and after some hours the list begins anew."""
    kinds = [("5", "frame", "IN_QUEUE"), ("4", "caption", "COMPLETED"), ("3", "caption", "IN_PROGRESS")]
    jobs = [{"id": name, "operation": kind, "status": status} for name, kind, status in kinds]
    pages = iter([jobs, jobs[:2], jobs[:1]])
    gone = {"message": "There is no such job.", "code": 5}
    with opened(browser, pair.key) as watched:
        page = watched.page
        page.goto(f"{pair.http_url}/docs/contents.html")
        page.route("**/jobs?page_size*", lambda route: route.fulfill(json={"jobs": next(pages), "counts": {}}))
        page.route("**/job/3", lambda route: route.fulfill(status=404, json=gone))
        assert page.evaluate(OPEN_LONG) == [["4", "3"], 1, ["4"], []]
        watched.forgive("404")


def test_previews_are_shown_where_they_are_asked_for(browser: Browser, pair: Pair) -> None:
    told = [{"id": str(at), "operation": kind, "status": "COMPLETED"} for at, kind in ((1, "caption"), (2, "frame"))]
    with opened(browser, pair.key) as watched:
        page = watched.page
        page.route("**/jobs?*", lambda route: route.fulfill(json={"jobs": told, "counts": {"COMPLETED": 2}}))
        page.goto(address(pair))
        expect(page.get_by_text("1 job. That is all. Previews that are not shown: 1.")).to_be_visible()
        expect(page.locator("job-row")).to_have_count(1)
        page.get_by_label("Operation").select_option("All operations")
        expect(page.locator("job-row")).to_have_count(2)


def test_a_failed_row_is_whole_on_a_narrow_screen(browser: Browser, pair: Pair) -> None:
    message = "No subtitles can be read in this file, as it is a video. " * 3
    error = {"message": message, "reason": "BAD_SUBTITLES"}
    failed = {"id": "1", "operation": "caption", "status": "FAILED", "error": error, "metadata": {"episode": "12"}}
    with opened(browser, pair.key, viewport=NARROW) as watched:
        page = watched.page
        page.route("**/jobs?*", lambda route: route.fulfill(json={"jobs": [failed], "counts": {"FAILED": 1}}))
        page.goto(address(pair))
        expect(page.get_by_text("No subtitles can be read")).to_be_visible()
        whole = """row => Math.min(...[...row.querySelectorAll(".job-state > *, .job-actions > *")]
            .map((part) => row.getBoundingClientRect().bottom - part.getBoundingClientRect().bottom))"""
        assert page.locator("job-row").evaluate(whole) >= 4


@pytest.mark.parametrize("attempts", [1, 2])
def test_why_a_task_failed_is_told_once(browser: Browser, pair: Pair, attempts: int) -> None:
    """Also of a batch that was cancelled before the next attempt began, of which no list of attempts is shown."""
    times = {"startTime": "2026-07-01T12:00:00Z", "endTime": "2026-07-01T12:00:01Z"}
    failed = {"item": "a", "encoder": "desk", "outcome": "FAILED", "message": "This image is damaged.", **times}
    other = {"item": "b", "encoder": "desk", "outcome": "CANCELLED", **times}
    job = {"id": "1", "operation": "img2vid", "status": "CANCELLED", "total": 2, "createTime": times["startTime"]}
    job |= {**times, "error": {"message": "The job was cancelled.", "code": 1}, "attempts": [failed, other][:attempts]}
    with opened(browser, pair.key) as watched:
        page = watched.page
        page.route("**/job/1", lambda route: route.fulfill(json=job))
        page.route("**/job/1/*", lambda route: route.fulfill(json={}))
        page.goto(address(pair, "/jobs/1"))
        expect(page.get_by_text("A task failed")).to_be_visible()
        expect(page.locator("p", has_text="This image is damaged.")).to_have_count(1)


ASKING = """async () => {
    const { Page } = await import("/console/page.js");
    customElements.define("asking-page", class extends Page {});
    const page = document.createElement("asking-page");
    let [failed, fine] = [0, 0];
    page.every(0.01, async () => {
        failed += 1;
        throw Object.assign(new Error("Too many calls."), { retrySeconds: 3600 });
    });
    await new Promise((resolve) => page.every(0.01, async () => (fine += 1) === 20 && resolve()));
    page.disconnectedCallback();
    const { Live } = await import("/console/detail/timeline.js");
    const live = new Live();
    for (let at = 1; at <= 300; at += 1) live.note({ queued: { place: at } }, {});
    return [failed, live.seen.length, live.seen.at(-1).text];
}"""


def test_a_gateway_that_refuses_is_asked_when_it_says(browser: Browser, pair: Pair) -> None:
    with opened(browser, pair.key) as watched:
        watched.page.goto(address(pair))
        failed, kept, last = watched.page.evaluate(ASKING)
        assert failed == 1
        assert (kept, last) == (100, "number 300")
