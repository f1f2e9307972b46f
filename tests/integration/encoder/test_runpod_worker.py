"""The worker of RunPod: the real SDK's loop in a process of its own, the emulated RunPod, links, real FFmpeg."""

import asyncio
import contextlib
import json
import signal
from dataclasses import dataclass

import httpx
import psutil
import pytest
import pytest_asyncio
from google.protobuf import json_format

from apigpu.encoder.v1 import encoder_pb2
from apigpu.v1 import video_pb2
from tests.emulators import runpodemulator, sdkchild
from tests.support import judge, link_server
from tests.support.encoder_harness import WAITING, name_of, parents
from tests.support.processes import alive
from tests.support.until import HANG_SECONDS, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

CAPTION = video_pb2.Operation(caption=video_pb2.CaptionRequest(url_video="v", url_srt="s"))
SHORT = video_pb2.Operation(img2vid=video_pb2.Img2VidRequest(url_image="i", duration=0.2))
NONE = video_pb2.Operation()
LONG = video_pb2.Operation(img2vid=video_pb2.Img2VidRequest(url_image="i", duration=600, frame_rate=60))


@dataclass
class Worker:
    process: object
    folder: object

    def ffmpegs(self):
        with contextlib.suppress(psutil.NoSuchProcess):
            found = psutil.Process(self.process.pid).children(recursive=True)
            waiting = [one for one in found if name_of(one) == WAITING]
            around = [one for process in waiting for one in parents(process)]
            found = [one for one in found if one not in (*waiting, *around)]
            return [one for one in found if one.is_running() and "ffmpeg" in " ".join(command_line(one))]
        return []

    def folders(self):
        return list((self.folder / "work").glob("task-*"))

    def at_work(self):
        return self.folders() and self.ffmpegs()

    def log(self):
        return (self.folder / "log").read_text()


def command_line(process):
    with contextlib.suppress(psutil.Error):
        return process.cmdline()
    return []


@contextlib.contextmanager
def started(runpod, folder, name, **settings):
    folder.mkdir()
    own = {"WORK_DIR": str(folder / "work"), "LOGS_DIR": str(folder / "logs"), "CODEC": "x264", **settings}
    environ = sdkchild.environment(folder, **runpod.worker_environment(name), **own)
    with sdkchild.child("runpod", ["-m", "encoder.runpod.worker"], environ, folder / "log") as process:
        yield Worker(process, folder)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def emulated():
    async with runpodemulator.running() as runpod:
        yield runpod


@pytest.fixture
def runpod(emulated):
    """RunPod without a fault, whatever the test before did to it."""
    emulated.faults = runpodemulator.Faults()
    return emulated


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def links():
    async with link_server.links() as serving:
        yield serving


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def worker(emulated, tmp_path_factory):
    with started(emulated, tmp_path_factory.mktemp("runpod") / "w1", "w1", BATCH_SIZE="8") as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def client(runpod):
    async with connected(runpod) as client:
        yield client


def connected(runpod):
    headers = {"Authorization": f"Bearer {runpod.key}"}
    return httpx.AsyncClient(base_url=f"{runpod.api_url}/{runpod.endpoint_id}", headers=headers, timeout=HANG_SECONDS)


async def run(client, remote):
    value = json_format.MessageToDict(remote) if isinstance(remote, encoder_pb2.RemoteTask) else remote
    return (await client.post("/run", json={"input": value})).json()["id"]


async def ended(runpod, client, job):
    await until(lambda: runpod.queue.jobs[job].state in ("COMPLETED", "FAILED", "TIMED_OUT", "CANCELLED"))
    return (await client.get(f"/status/{job}")).json()


async def failed(runpod, client, remote):
    told = await ended(runpod, client, await run(client, remote))
    assert told["status"] == "FAILED"
    return json_format.Parse(told["error"], encoder_pb2.RemoteFault())


def frames_done(told):
    return json_format.ParseDict(told[-1], encoder_pb2.EncodeProgress()).frames_done if told else 0


async def test_a_caption_is_made_and_put(runpod, client, links, worker, gray, cues, tmp_path):
    told = await ended(runpod, client, await run(client, links.task("a", CAPTION, url_video=gray, url_srt=cues)))
    assert told["status"] == "COMPLETED", told
    assert told["output"].keys() == {"summary"}
    summary = json_format.ParseDict(told["output"], encoder_pb2.RemoteResult()).summary
    (tmp_path / "a.mp4").write_bytes(links.results["a"])
    assert (summary.size_bytes, summary.codec) == (len(links.results["a"]), "x264")
    assert judge.facts(tmp_path / "a.mp4").frames == summary.frames == 50
    shown, plain = judge.pictures(tmp_path / "a.mp4"), judge.pictures(gray)
    assert judge.differing(shown[25], plain[25]).any()
    assert not judge.differing(shown[5], plain[5]).any()


async def test_progress_is_told_and_a_cancelled_job_leaves_nothing(runpod, client, links, worker, still):
    job = await run(client, links.task("b", LONG, url_image=still))
    await until(lambda: frames_done(runpod.queue.jobs[job].progress) > 0)
    told = (await client.get(f"/status/{job}")).json()
    progress = json_format.ParseDict(told["output"], encoder_pb2.EncodeProgress())
    assert (told["status"], progress.frames_total) == ("IN_PROGRESS", 36_000)
    assert 0 < progress.frames_done < 36_000
    assert worker.ffmpegs()
    await client.post(f"/cancel/{job}")
    await until(lambda: not worker.ffmpegs() and not worker.folders())


async def test_a_task_that_nobody_waits_for_ends_soon(runpod, client, links, worker, still):
    job = await run(client, links.task("c", LONG, url_image=still))
    await until(worker.at_work)
    links.over.add("c")
    await until(lambda: not worker.ffmpegs() and not worker.folders())
    told = await ended(runpod, client, job)
    assert json.loads(told["error"])["reason"] == "GONE"
    assert runpod.queue.jobs[job].late_updates == 0


async def test_a_fault_of_the_input_comes_with_its_field(runpod, client, links, worker, cues):
    fault = await failed(runpod, client, links.task("d", CAPTION, url_video=b"no video", url_srt=cues))
    assert (fault.code, list(fault.fields)) == (3, ["url_video"])
    gone = link_server.status(5, "url_video: is not there.", "NO_SOURCE", 404, url_video="is not there")
    fault = await failed(runpod, client, links.task("e", CAPTION, url_video=gone, url_srt=cues))
    assert (fault.code, fault.message, fault.reason) == (5, "url_video: is not there.", "NO_SOURCE")
    assert dict(fault.fields) == {"url_video": "is not there"}


async def test_a_task_that_cannot_be_done_is_refused(runpod, client, links, worker, still):
    foreign, bare = links.task("f", SHORT, url_image=still), links.task("f", SHORT, url_image=still)
    foreign.input_urls[0] = "file:///etc/passwd"
    del bare.input_urls[:]
    wrong = [foreign, bare, {"task": 7, "resultUrl": link_server.SECRET}, links.task("g", NONE, url_image=still)]
    faults = await asyncio.gather(*[failed(runpod, client, remote) for remote in wrong])
    assert [(fault.code, fault.reason) for fault in faults] == [
        (3, "BAD_LINK"),
        (3, "BAD_LINK"),
        (3, "BAD_TASK"),
        (3, "UNKNOWN_OPERATION"),
    ]


async def test_tasks_run_side_by_side_a_dropped_put_is_made_again_and_no_progress_comes_late(
    runpod, client, links, worker, still
):
    links.answers[:] = ["drop"]
    runpod.faults.progress_delay_seconds = 0.3
    jobs = [await run(client, links.task(name, SHORT, url_image=still)) for name in "hij"]
    told = [await ended(runpod, client, job) for job in jobs]
    assert [one["status"] for one in told] == ["COMPLETED"] * 3
    assert (links.answers, links.results.keys() >= set("hij")) == ([], True)
    assert not worker.folders()
    assert [runpod.queue.jobs[job].late_updates for job in jobs] == [0, 0, 0]
    assert all(runpod.queue.jobs[job].progress for job in jobs)


async def test_no_log_tells_of_a_link(runpod, client, links, worker, still):
    await ended(runpod, client, await run(client, links.task("l", SHORT, url_image=still)))
    written = [worker.folder / "log", *(worker.folder / "logs").iterdir()]
    assert len(written) > 1
    assert not [path for path in written if link_server.SECRET in path.read_text()]


async def test_a_killed_worker_and_one_that_is_told_to_stop_leave_nothing(links, still, tmp_path):
    async with runpodemulator.running() as runpod, connected(runpod) as client:
        runpod.rules.poll_seconds = 60
        with started(runpod, tmp_path / "w1", "w1") as worker:
            job = runpod.queue.jobs[await run(client, links.task("k", LONG, url_image=still))]
            await until(worker.at_work)
            await killed_and_stopped(runpod, job, worker, tmp_path)


async def killed_and_stopped(runpod, job, worker, tmp_path):
    with (
        started(runpod, tmp_path / "w2", "w2") as other,
        started(runpod, tmp_path / "w3", "w3", CODEC="nvenc") as wrong,
    ):
        ffmpegs = worker.ffmpegs()
        sdkchild.vanish(worker.process)
        await until(lambda: not any(map(alive, ffmpegs)))
        runpod.queue.lose("w1")
        await until(other.at_work)
        other.process.send_signal(signal.SIGTERM)
        await until(lambda: other.process.poll() is not None)
        assert (other.process.returncode, other.ffmpegs(), other.folders()) == (0, [], []), other.log()
        assert (job.state, job.worker, job.retries) == ("IN_PROGRESS", "w2", 1)
        await until(lambda: wrong.process.poll() is not None)
        assert (wrong.process.returncode, "CODEC=nvenc" in wrong.log()) == (2, True)
