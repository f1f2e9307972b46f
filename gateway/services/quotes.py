"""Quotes of dry runs as messages of the API."""

from apigpu.v1 import jobs_pb2, quote_pb2, video_pb2
from gateway.fleet.speeds import JobEstimate, ValueRange
from gateway.jobs.quote import JobQuote, PlannedResult
from gateway.services.presenters import failure_message, shown_tenant
from gateway.services.times import timestamp


def quoted_job(quote: JobQuote) -> jobs_pb2.Job:
    """Return the answer to a dry run: a job as if it had ended, that there is not."""
    return jobs_pb2.Job(
        id=quote.job_id,
        status=jobs_pb2.Job.FAILED if quote.faults else jobs_pb2.Job.COMPLETED,
        error=failure_message(quote.failure),
        operation=quote.operation,
        create_time=timestamp(quote.asked_at),
        end_time=timestamp(quote.asked_at),
        total=max(quote.tasks, 1),
        metadata=dict(quote.metadata),
        tenant=shown_tenant(quote.tenant),
        quote=quote_pb2.Quote(
            ok=not quote.faults,
            faults=[message for fault in quote.faults if (message := failure_message(fault)) is not None],
            results=map(_result, quote.results),
            unknown=quote.unknown,
            estimates=map(_estimate, quote.estimates),
            jobs_ahead=quote.jobs_ahead,
        ),
    )


def _result(result: PlannedResult) -> quote_pb2.QuotedResult:
    plan = result.plan
    codecs = [plan.codec, *(task.codec for task in plan.further)]
    known = {
        "duration": round(plan.duration_seconds, 6),
        "frames": plan.frames,
        "width": plan.width,
        "height": plan.height,
        "content_type": plan.content_type if not plan.further else "video/mp4",
        "codec": next(filter(None, codecs), ""),
    }
    return quote_pb2.QuotedResult(
        id=result.item,
        operation=result.operation,
        tasks=1 + len(plan.further),
        warnings=[
            video_pb2.Warning(reason=one.reason, message=one.message, metadata=one.metadata) for one in plan.warnings
        ],
        scenes=plan.scenes,
        **{name: value for name, value in known.items() if value},  # type: ignore[arg-type]
    )


def _estimate(estimate: JobEstimate) -> quote_pb2.Estimate:
    return quote_pb2.Estimate(
        encoders=estimate.encoders,
        seconds=_range(estimate.seconds, 3),
        usd=_range(estimate.usd, 6),
        basis=estimate.basis,
    )


def _range(found: ValueRange | None, digits: int) -> quote_pb2.EstimatedRange | None:
    if found is None:
        return None
    return quote_pb2.EstimatedRange(low=round(found.low, digits), high=round(found.high, digits))
