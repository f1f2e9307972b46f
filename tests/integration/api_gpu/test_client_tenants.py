"""`api-gpu tenants` and `api-gpu usage`, and what commands say of the jobs that they make."""

import csv
import json

from api_gpu import Client
from tests.conftest import ADMIN_KEY
from tests.integration.api_gpu.conftest import Run
from tests.support.until import until_sync
from tools.samples import Samples

ADMIN = {"ADMIN_API_KEY": ADMIN_KEY}


def test_a_tenant_is_limited_and_its_usage_told(run: Run) -> None:
    said = run("tenants", "set", "acme", "--max-queued-jobs", "5", "--weight", "2.5", **ADMIN)
    assert said.returncode == 0, said.stderr
    assert dict(line.split("\t", 1) for line in said.stdout.splitlines())["weight"] == "2.5"
    shown = run("tenants", "show", "acme", **ADMIN)
    assert "max_queued_jobs\t5\n" in shown.stdout
    assert shown.stderr == "0 of 5 max_queued_jobs used\n"
    listed = json.loads(run("tenants", "list", "--json", **ADMIN).stdout)
    assert [one["max_queued_jobs"] for one in listed if one["tenant"] == "acme"] == [5]
    run("tenants", "set", "acme", "--max-queued-jobs", "0", "--weight", "1", **ADMIN)
    refused = run("tenants", "list")
    assert (refused.returncode, "needs a key with the scope admin" in refused.stderr) == (1, True)


def test_the_command_of_an_operation_says_priority_and_metadata_of_its_job(
    run: Run, media: Samples, client: Client
) -> None:
    done = run("thumbnail", media.video, "-o", "a.jpg", "--priority", "batch", "--metadata", "project=x=y")
    assert done.returncode == 0, done.stderr
    (job,) = client.jobs(metadata={"project": "x=y"})
    assert job.status == "COMPLETED"
    for wrong, text in (
        (("--priority", "soon"), "priority: 'soon' is none; give one of interactive, normal, batch."),
        (("--metadata", "project"), "no NAME=VALUE"),
        (("--webhook-event", "job.ended"), "webhook_url: is missing"),
    ):
        refused = run("thumbnail", media.video, "-o", "b.jpg", *wrong)
        assert refused.returncode != 0
        assert text in refused.stderr, refused.stderr

    def told() -> list[dict[str, str]]:
        return list(csv.DictReader(run("usage", "--csv", "--operation", "thumbnail").stdout.splitlines()))

    table = until_sync(told)
    assert (table[0]["tenant"], int(table[0]["jobs"]) >= 1) == ("default", True)
