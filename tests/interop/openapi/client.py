"""Captions a video with the client that openapi-python-client made of the document, and meets answers of every kind.

client.py URL KEY VIDEO SRT OUT: prints what it saw as JSON.
"""

import json
import sys
import time
from http import HTTPStatus
from io import BytesIO
from pathlib import Path

from apigpu_client import AuthenticatedClient
from apigpu_client.api.asset_service import (
    asset_service_delete_asset,
    asset_service_download_asset,
    asset_service_get_asset,
    asset_service_upload_asset,
)
from apigpu_client.api.job_service import (
    job_service_cancel_job,
    job_service_get_job,
    job_service_list_jobs,
    job_service_submit_job,
    job_service_watch_job,
)
from apigpu_client.api.system_service import system_service_get_health, system_service_get_runpod_health
from apigpu_client.models import (
    Asset,
    CaptionRequest,
    CaptionStyle,
    CaptionStylePreset,
    Error,
    GetHealthResponse,
    GetRunpodHealthResponse,
    Job,
    JobServiceListJobsStatus,
    JobStatus,
    ListJobsResponse,
    Operation,
)
from apigpu_client.types import File

POLL_SECONDS = 0.1


def main(url: str, key: str, video: str, subtitles: str, out: str) -> None:
    with AuthenticatedClient(base_url=url, token=key, auth_header_name="X-API-Key", prefix="") as client:
        names = [upload(client, Path(path)).name for path in (video, subtitles)]
        job = captioned(client, *names)
        result = content(client, job.output.asset)
        Path(out).write_bytes(result)
        seen = {"status": job.status, "bytes": len(result), "preset": CaptionStylePreset.BOX}
        print(json.dumps({**seen, **answers(client, job, names[0])}))


def upload(client: AuthenticatedClient, path: Path) -> Asset:
    with path.open("rb") as file:
        made = asset_service_upload_asset.sync(client=client, body=File(file), filename=path.name)
    assert isinstance(made, Asset), made
    assert made.filename == path.name
    return made


def captioned(client: AuthenticatedClient, video: str, subtitles: str) -> Job:
    style = CaptionStyle(preset=CaptionStylePreset.BOX)
    wanted = Operation(caption=CaptionRequest(url_video=video, url_srt=subtitles, style=style))
    job = job_service_submit_job.sync(client=client, body=wanted)
    while isinstance(job, Job) and job.status in (JobStatus.IN_QUEUE, JobStatus.IN_PROGRESS):
        time.sleep(POLL_SECONDS)
        job = job_service_get_job.sync(job.id, client=client)
    assert isinstance(job, Job), job
    return job


def content(client: AuthenticatedClient, name: str) -> bytes:
    file = asset_service_download_asset.sync(name.removeprefix("assets/"), client=client)
    assert isinstance(file, File), file
    assert isinstance(file.payload, BytesIO)
    return file.payload.read()


def answers(client: AuthenticatedClient, job: Job, name: str) -> dict[str, object]:
    """What other calls answer: lists, streams, errors, and an answer that is no error with 503."""
    health = system_service_get_health.sync(client=client)
    runpod = system_service_get_runpod_health.sync_detailed(client=client)
    refused = job_service_cancel_job.sync_detailed(job.id, client=client)
    page = job_service_list_jobs.sync(client=client, status=JobServiceListJobsStatus.COMPLETED, page_size=1)
    events = job_service_watch_job.sync(job.id, client=client)
    asset_id = name.removeprefix("assets/")
    asset_service_delete_asset.sync(asset_id, client=client)
    gone = asset_service_get_asset.sync(asset_id, client=client)
    assert isinstance(health, GetHealthResponse)
    assert isinstance(page, ListJobsResponse)
    assert isinstance(runpod.parsed, GetRunpodHealthResponse)
    assert runpod.status_code is HTTPStatus.SERVICE_UNAVAILABLE
    assert isinstance(refused.parsed, Error)
    assert isinstance(gone, Error)
    return {
        "health": health.status,
        "runpod": runpod.parsed.status,
        "refused": [refused.status_code, refused.parsed.error, refused.parsed.status],
        "jobs": [listed.id == job.id for listed in page.jobs],
        "last_event": json.loads(events.splitlines()[-1])["result"]["finished"]["status"],
        "gone": gone.status,
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
