"""What becomes of the files that the command line and the tools for language models have uploaded: they stay with the
job, which may be tried again, and are deleted where there is none and nobody else may have them."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
import typer

from api_gpu import Asset, Finished
from api_gpu.assets import lasts
from api_gpu.cli.run import Interrupted, JobRunner
from api_gpu.inline import MAX_BYTES
from api_gpu.mcp.calls import Files, ToolCall
from api_gpu.uploads import RESUMABLE_BYTES
from apigpu.v1 import quote_pb2
from servicekit.errors import Cancelled, FailedPrecondition, ResourceExhausted, ServiceError, Unavailable

REFUSED = ResourceExhausted("The queue is full.")
FAILED = FailedPrecondition("The file is damaged.")
LOST = Unavailable("The answer was lost.")


class FakeJob:
    """A job that ends at once, or is lost sight of."""

    id, preview, ended = "1", None, True

    def __init__(self, lost: BaseException | None = None, quote: quote_pb2.Quote | None = None) -> None:
        self.lost, self.quote, self.is_cancelled = lost, quote, False

    def watch(self) -> Iterator[Finished[Any]]:
        if self.lost:
            raise self.lost
        yield Finished(cast("Any", self))

    def cancel(self) -> None:
        self.is_cancelled = True

    def checked(self) -> "FakeJob":
        raise FAILED


class Store:
    """Client and display of one call: the files that are stored, and how often anything is uploaded."""

    def __init__(self, *, is_quoting: bool = False) -> None:
        self.is_quoting, self.stored, self.uploads = is_quoting, list[str](), 0
        self.known: dict[str, str] = {}
        self.while_uploading: Callable[[], None] = lambda: None
        self.submitted: Callable[[], Any] = FakeJob

    def upload(self, path: Path, on_bytes: object) -> Any:
        self.uploads += 1
        if self.uploads == 2:
            self.while_uploading()
        self.stored.append(f"assets/{self.uploads}")
        size_bytes = path.stat().st_size
        return type("Stored", (), {"name": self.stored[-1], "filename": path.name, "size_bytes": size_bytes})

    def kept(self, path: Path) -> Any:
        known = self.known.get(path.name)
        return known and type("Stored", (), {"name": known})

    def delete(self, name: str) -> None:
        self.stored.remove(name)

    def submit(self, operation: object, options: object) -> Any:
        return self.submitted()

    def show(self, *_: object) -> None:
        """Show nothing."""

    transfer = message = event = show


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Two files, too large to go along with a request."""
    found = [tmp_path / name for name in ("a.mp4", "b.mp4")]
    for path in found:
        path.write_bytes(bytes(MAX_BYTES))
    return found


def run(store: Store, files: list[Path], job: FakeJob | BaseException) -> Any:
    """Have the command line run a job with the files."""

    def submit(client: object, sent: object) -> Any:
        if isinstance(job, BaseException):
            raise job
        return job

    runner = JobRunner(cast("Any", store), cast("Any", store), cast("Any", store))
    return runner.run({"files": [str(path) for path in files]}, submit)


def interrupt() -> None:
    raise KeyboardInterrupt


def test_a_job_of_the_command_line_keeps_its_files(files: list[Path]) -> None:
    run(store := Store(), [*files, files[0]], FakeJob())
    assert store.stored == ["assets/1", "assets/2"]  # each once
    with pytest.raises(Unavailable):
        run(store := Store(), files, FakeJob(Unavailable("it went away")))
    assert len(store.stored) == 2
    job = FakeJob(KeyboardInterrupt())
    with pytest.raises(Interrupted, match="job 1 is cancelled"):
        run(store := Store(), files, job)
    assert (len(store.stored), job.is_cancelled) == (2, True)


def test_the_command_line_leaves_no_files_without_a_job(files: list[Path]) -> None:
    with pytest.raises(ResourceExhausted):
        run(store := Store(), files, REFUSED)
    assert (store.uploads, store.stored) == (2, [])
    store = Store()
    store.while_uploading = interrupt
    store.stored.append("assets/another")
    with pytest.raises(Interrupted, match="no job was started"):
        run(store, files, FakeJob())
    assert (store.uploads, store.stored) == (2, ["assets/another"])
    with pytest.raises(typer.Exit):
        run(store := Store(is_quoting=True), files, FakeJob(quote=quote_pb2.Quote(ok=True)))
    assert (store.uploads, store.stored) == (2, [])


def test_where_a_job_may_have_been_started_its_files_stay(files: list[Path]) -> None:
    with pytest.raises(Unavailable):
        run(store := Store(), files, LOST)
    assert len(store.stored) == 2
    with pytest.raises(Interrupted, match="may have been started"):
        run(store := Store(), files, KeyboardInterrupt())
    assert len(store.stored) == 2
    store = Store()
    store.while_uploading = lose
    with pytest.raises(Unavailable):
        run(store, files, FakeJob())
    assert store.stored == []


def test_a_large_file_that_another_run_may_have_found_is_not_deleted(files: list[Path]) -> None:
    with files[0].open("r+b") as file:
        file.truncate(RESUMABLE_BYTES)
    with pytest.raises(ResourceExhausted):
        run(store := Store(), files, REFUSED)
    assert store.stored == ["assets/1"]
    called(store := Store(), files, refuse, ResourceExhausted)
    assert store.stored == ["assets/1"]
    called(store := Store(), files, FakeJob, Cancelled)
    assert store.stored == ["assets/1"]
    with pytest.raises(typer.Exit):
        run(store := Store(is_quoting=True), files, FakeJob(quote=quote_pb2.Quote(ok=True)))
    assert store.stored == ["assets/1"]


def test_small_files_are_not_uploaded(files: list[Path]) -> None:
    for path in files:
        path.write_bytes(b"still")
    run(store := Store(), files, FakeJob())
    assert store.uploads == 0


def test_what_the_gateway_has_is_neither_sent_nor_deleted(files: list[Path]) -> None:
    store = Store()
    store.stored.append("assets/before")
    store.known[files[0].name] = "assets/before"
    with pytest.raises(ResourceExhausted):
        run(store, files, REFUSED)
    assert (store.uploads, store.stored) == (1, ["assets/before"])
    called(store, files, refuse, ResourceExhausted)
    assert (store.uploads, store.stored) == (2, ["assets/before"])


def test_a_dry_run_sends_no_file_that_is_there_and_deletes_only_what_it_sent(files: list[Path]) -> None:
    store = Store(is_quoting=True)
    store.stored.append("assets/before")
    store.known[files[0].name] = "assets/before"
    with pytest.raises(typer.Exit):
        run(store, files, FakeJob(quote=quote_pb2.Quote(ok=True)))
    assert (store.uploads, store.stored) == (1, ["assets/before"])


@pytest.mark.parametrize(("days_left", "does"), [(7, True), (3.5, True), (3.4, False), (0, False)])
def test_a_file_is_taken_again_while_half_of_its_time_is_left(days_left: float, does: bool) -> None:
    now = datetime(2026, 7, 8, tzinfo=UTC)
    expires = now + timedelta(days=days_left)
    asset = Asset("assets/a", "a.mp4", "video/mp4", 1, "", expires - timedelta(days=7), expires, "")
    assert lasts(asset, now) is does


def called(store: Store, files: list[Path], submitted: Callable[[], Any], error: type[ServiceError]) -> None:
    """Have a tool caption a film with the files; it ends with an error."""
    store.submitted = submitted
    call = ToolCall(cast("Any", store), Files(files[0].parent, is_fetching=False), lambda *_: None)
    store.while_uploading = call.cancel if error is Cancelled else store.while_uploading
    with pytest.raises(error):
        call.run("caption", {"url_video": files[0].name, "url_srt": files[1].name})


def refuse() -> None:
    raise REFUSED


def lose() -> None:
    raise LOST


@pytest.mark.parametrize(
    ("submitted", "error", "kept"),
    [(FakeJob, FailedPrecondition, 2), (refuse, ResourceExhausted, 0), (lose, Unavailable, 2), (FakeJob, Cancelled, 0)],
)
def test_files_of_a_tool_stay_with_their_job_alone(
    files: list[Path], submitted: Callable[[], Any], error: type[ServiceError], kept: int
) -> None:
    called(store := Store(), files, submitted, error)
    assert (store.uploads, len(store.stored)) == (2, kept)
