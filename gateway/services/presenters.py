"""Jobs and assets of the domain as messages of the API, with links for the caller."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from google.protobuf.message import DecodeError, Message

from apigpu.v1 import assets_pb2, jobs_pb2, probe_pb2, video_pb2
from gateway.assets.links import LinkSigner
from gateway.assets.record import parse_name
from gateway.assets.store import StoredAsset
from gateway.callers import DEFAULT_TENANT, caller
from gateway.fleet.billing import Cost, UsageInterval
from gateway.jobs import further, media_facts, model, names, operation
from gateway.jobs.fairness import NORMAL
from gateway.jobs.model import Failure, Job, Status
from gateway.preview import film
from gateway.services.attempts import told_attempts, told_text
from gateway.services.requests import BRIEF, WHOLE, Extent, told_request
from gateway.services.times import stamp_of, timestamp
from servicekit.chunks import MAX_MESSAGE_BYTES
from servicekit.errors import CODES, InvalidArgument
from servicekit.interceptors import Context, metadata

OUTPUT_FIELDS = jobs_pb2.Output.DESCRIPTOR.fields_by_name
# Left free in a message for its framing.
MARGIN_BYTES = 64 * 1024

BASE_URL = "x-apigpu-base-url"
KEEP_JOB = "x-apigpu-keep-job"
# Initial metadata for the proxy: the job that a call has made, before its answer.
JOB_ID = "x-apigpu-job"
# Metadata of calls that make a job.
JOB_OPTIONS = "job-options-bin"

CostOf = Callable[[tuple[UsageInterval, ...], float], Cost | None]


def proxy_metadata(context: Context) -> dict[str, str]:
    """Return the metadata of a call of the JSON proxy, which calls on the private socket; {} for other callers."""
    trusted = metadata(context) if context.peer().startswith("unix:") else {}
    return trusted if trusted.get(KEEP_JOB) == "1" else {}


def idempotency_key(context: Context) -> str:
    """Return the key by which a caller tries a request again, "" where there is none."""
    return metadata(context).get("idempotency-key", "")


def job_options(context: Context) -> jobs_pb2.JobOptions:
    """Return what a caller says of a job beside the request. Raises InvalidArgument."""
    options = jobs_pb2.JobOptions()
    for key, value in context.invocation_metadata() or ():
        if key == JOB_OPTIONS:
            try:
                options.MergeFromString(value if isinstance(value, bytes) else value.encode())
            except DecodeError as error:
                text = "is no serialized apigpu.v1.JobOptions."
                raise InvalidArgument.field(JOB_OPTIONS, text, reason="BAD_HEADER") from error
    return options


def shown_tenant(tenant: str) -> str:
    """Return a tenant as messages name it: "default" is left out."""
    return "" if tenant == DEFAULT_TENANT else tenant


def known_encoder(name: str, links: LinkSigner) -> str:
    """Return what those who may not see the fleet know an encoder by: always the same, and not its name."""
    return f"encoder-{links.pseudonym(name)}"


@dataclass(frozen=True)
class Presenter:
    """Builds messages. Links in them begin with `base_url`, scheme and host as the caller knows them."""

    links: LinkSigner
    cost_of: CostOf
    base_url: str = ""

    def to(self, context: Context) -> "Presenter":
        """Return the presenter for a caller: the JSON proxy sends the base URL that its client used."""
        return replace(self, base_url=proxy_metadata(context).get(BASE_URL, self.base_url).rstrip("/"))

    def job(self, job: Job, extent: Extent = WHOLE) -> jobs_pb2.Job:
        """Return the job; of a long request only what `extent` says."""
        now = time.time()
        request, inputs = told_request(job, extent)
        return jobs_pb2.Job(
            id=job.id,
            status=jobs_pb2.Job.Status.Value(job.status.value),
            delay_time=job.delay_ms(now),
            execution_time=job.execution_ms(now),
            output=self._output(job),
            error=self._failure(job.failure, job.tasks),
            operation=job.operation,
            create_time=timestamp(job.created_at),
            start_time=timestamp(job.started_at),
            end_time=timestamp(job.ended_at),
            total=len(job.tasks),
            processed=job.count(Status.COMPLETED),
            cost=self.cost(job, now),
            metadata=dict(job.metadata),
            deliveries=_deliveries(job),
            tenant=shown_tenant(job.tenant),
            priority="" if job.priority == NORMAL else job.priority,
            deadline=timestamp(job.deadline or None),
            preview=self.preview(job),
            request_id=job.request_id,
            inputs=inputs,
            request=request,
            attempts=told_attempts(job, extent.attempts, self.encoder),
            input_facts=media_facts.input_facts(job) if extent.tells_facts else (),
            result_facts=media_facts.result_facts(job) if extent.tells_facts else (),
        )

    def encoder(self, name: str) -> str:
        """Return what the caller is told of an encoder's name ("": none): it may be an address, or of a provider's
        account, and is for those who may see the fleet; others know the encoder again by a short name."""
        return name if not name or caller.get().may_see_fleet else known_encoder(name, self.links)

    def _failure(self, failure: Failure | None, tasks: Sequence[model.Task]) -> video_pb2.Failure | None:
        found = failure_message(failure)
        if found is not None:
            names = {task.encoder for task in tasks if task.failure == failure}
            found.message = told_text(found.message, names, self.encoder)
        return found

    def preview(self, job: Job) -> jobs_pb2.Preview | None:
        """Return where the film of a job plays; None where nobody asked for that."""
        playing = film.film_of(job)
        if playing is None:
            return None
        return jobs_pb2.Preview(
            url=self.base_url + self.links.sign_preview(job.id),
            seconds=round(playing.picture.seconds, 3) if playing.has_begun else 0.0,
            sound=playing.is_heard,
            complete=playing.is_over,
        )

    async def page(
        self, jobs: Sequence[Job], next_token: str, add: Callable[[jobs_pb2.Job, Job], None] = lambda message, job: None
    ) -> jobs_pb2.ListJobsResponse:
        """Return a page of jobs, to each of which `add` adds; it ends early, after at least one, where a message would
        become too large."""
        page = jobs_pb2.ListJobsResponse(next_page_token=next_token)
        free_bytes = MAX_MESSAGE_BYTES - MARGIN_BYTES
        for job in jobs:
            await asyncio.sleep(0)  # a thousand of long requests take seconds, in which others are served
            message = self.job(job, BRIEF)
            add(message, job)
            free_bytes -= message.ByteSize()
            if page.jobs and free_bytes < 0:
                page.next_page_token = page.jobs[-1].id
                break
            page.jobs.append(message)
        return page

    def cost(self, job: Job, now: float) -> video_pb2.Cost | None:
        """Return the cost of the job; None if nothing was rented for it."""
        cost = self.cost_of(job.usage, now)
        return None if cost is None else video_pb2.Cost(usd=cost.usd, seconds=cost.seconds, final=cost.is_final)

    def response(self, job: Job, response: Message) -> Message:
        """Fill the response of an operation's method, as far as it has the fields."""
        now = time.time()
        ended = job.ended_at or now
        values: dict[str, Any] = {
            "code": 200,
            "message": _done_text(job),
            "execution": video_pb2.Execution(
                start_time=timestamp(job.created_at),
                end_time=timestamp(ended),
                duration_ms=round((ended - job.created_at) * 1000),
                duration_seconds=round(ended - job.created_at, 3),
            ),
            "stats": _stats(job, self.cost(job, now), now),
            "videos": list(self.videos(job)),
            **self._result(job, job.kept[0]),
            **self._first_link(job),
        }
        known = response.DESCRIPTOR.fields_by_name
        return type(response)(**{name: value for name, value in values.items() if name in known})

    def videos(self, job: Job) -> Iterator[video_pb2.Video]:
        """Return the results of a batch, or of a graph, in their order."""
        return (self.video(job, index) for index in job.kept)

    def video(self, job: Job, index: int) -> video_pb2.Video:
        """Return the result of a task of a batch, or of a graph."""
        task = job.tasks[index]
        url, error = self._url(job, index), self._failure(task.failure, [task])
        return video_pb2.Video(id=task.item, video_url=url, error=error, **self._result(job, index))

    def asset(self, asset: StoredAsset) -> assets_pb2.Asset:
        return assets_pb2.Asset(
            name=asset.name,
            filename=asset.filename,
            content_type=asset.content_type,
            size_bytes=asset.size_bytes,
            sha256=asset.sha256,
            create_time=stamp_of(asset.created_at),
            expire_time=stamp_of(asset.expires_at),
            download_url=self.base_url + self.links.sign_file(asset.id, asset.filename),
        )

    def _output(self, job: Job) -> jobs_pb2.Output | None:
        if job.status is not Status.COMPLETED and not job.is_delivering:
            return None
        if job.batch or len(job.kept) > 1:
            return jobs_pb2.Output(videos=self.videos(job))
        links = {name: url for name, url in self._first_link(job).items() if name in OUTPUT_FIELDS}
        return jobs_pb2.Output(**self._result(job, job.kept[0]) | links)

    def _first_link(self, job: Job) -> dict[str, str]:
        """Return the link to the first result, by the field for its media type: "video_url", "image_url"."""
        index = job.kept[0]
        if not job.tasks[index].asset:
            return {}
        kind = (job.tasks[index].content_type or model.MP4).partition("/")[0]
        return {f"{kind}_url": self._url(job, index)}

    def _result(self, job: Job, index: int) -> dict[str, Any]:
        """Return the fields that every message with the results of a task has."""
        warnings, encoded = self._warnings(job, index), further.encoded_task(job, index)
        return {
            "asset": job.tasks[index].asset or None,
            "media": _report(job.tasks[index]),
            "warnings": [video_pb2.Warning(reason=w.reason, message=w.message, metadata=w.metadata) for w in warnings],
            "encoding": _encoding(encoded) if encoded.codec else None,
            "files": [
                video_pb2.File(
                    name=file.name,
                    url=self._link(file.asset, file.name),
                    asset=file.asset,
                    content_type=file.content_type,
                )
                for file in names.result_files(job, index)
            ],
            **_scenes(job, index),
        }

    def _warnings(self, job: Job, index: int) -> list[model.ResultWarning]:
        lacking = film.warning_of(job) if index == job.kept[0] and job.status is Status.COMPLETED else None
        return [*further.result_warnings(job, index), *filter(None, [lacking])]

    def _url(self, job: Job, index: int) -> str:
        asset = job.tasks[index].asset
        return self._link(asset, names.result_name(job, index)) if asset else ""

    def _link(self, asset: str, filename: str) -> str:
        return self.base_url + self.links.sign_file(parse_name(asset), filename)


def _encoding(task: model.Task) -> video_pb2.Encoding:
    return video_pb2.Encoding(
        codec=task.codec,
        reason=task.codec_reason,
        frames_copied=task.frames_copied,
        whole_reason=task.whole_reason,
    )


def _report(task: model.Task) -> probe_pb2.MediaReport | None:
    return probe_pb2.MediaReport.FromString(task.report) if task.report else None


def _scenes(job: Job, index: int) -> dict[str, Any]:
    """Return the length of a film of scenes, and when each of them is seen; nothing of any other result."""
    scenes = further.scenes(job, index)
    return {"duration": job.tasks[index].duration_seconds, "scenes": scenes} if scenes else {}


def _stats(job: Job, cost: video_pb2.Cost | None, now: float) -> video_pb2.Stats:
    stats = video_pb2.Stats(
        job_id=job.id, delay_time=job.delay_ms(now), execution_time=job.execution_ms(now), cost=cost
    )
    if job.batch:
        stats.total, stats.processed = len(job.tasks), job.count(Status.COMPLETED)
    return stats


def _done_text(job: Job) -> str:
    if job.count(Status.COMPLETED) == len(job.tasks):
        _, message = operation.kind(video_pb2.Operation.FromString(job.request))
        return operation.rules(message).done
    failed = [task for task in job.tasks if task.failure]
    first = failed[0].failure.message if failed and failed[0].failure else ""
    return f"{len(failed)} of {len(job.tasks)} failed, see error of each; the first: {first}"


def _deliveries(job: Job) -> Iterator[jobs_pb2.ResultDelivery]:
    """Yield where the results of a job are put, and how far that is."""
    for one in job.output.deliveries if job.output else ():
        task, state = job.tasks[one.task], "PENDING" if one.next_at is not None else "GIVEN_UP"
        found = names.all_results(job, one.task)
        yield jobs_pb2.ResultDelivery(
            state=jobs_pb2.ResultDelivery.State.Value("DELIVERED" if one.is_delivered else state),
            place=one.place,
            name=found[one.file].name if one.file < len(found) else "",
            item=task.item if job.batch or job.graph else "",
            attempt_count=one.attempt_count,
            error=one.error,
            next_attempt_time=timestamp(one.next_at),
            verified=one.is_verified,
        )


def failure_message(failure: Failure | None) -> video_pb2.Failure | None:
    """Return a failure as a message; None for None."""
    if failure is None:
        return None
    return video_pb2.Failure(
        code=failure.code,
        status=CODES[failure.code].name,
        message=failure.message,
        reason=failure.reason,
        fields=dict(failure.fields),
    )
