"""Names of encoders, as callers are told them: who may not see the fleet is told no addresses."""

import pytest

from apigpu.v1 import jobs_pb2
from gateway.assets.links import LinkSigner
from gateway.callers import ALL_SCOPES, COMMON_SCOPES, Caller, Scope, caller
from gateway.jobs import model
from gateway.jobs.ffmpeg_log import FfmpegLog, TaskLog
from gateway.jobs.history import AttemptEnd
from gateway.jobs.hooks import ENDED, Occurrence
from gateway.jobs.model import Failure, Job, Task
from gateway.services.attempts import told_log
from gateway.services.presenters import Presenter, known_encoder
from gateway.services.webhooks import payload

ADDRESS = "10.1.2.3:50052"
PRESENTER = Presenter(LinkSigner(b"a secret that signs links", 60.0), lambda *_: None)


@pytest.fixture
def calling():
    """Return what makes the test a call with the scopes."""
    began = caller.set(Caller())
    yield lambda scopes: caller.set(Caller("acme", "key", frozenset(scopes)))
    caller.reset(began)


def tried(*encoders: str) -> Job:
    found = Job(id="a", operation="probe", request=b"", batch=False, tasks=(Task("film"),), created_at=100.0)
    for at, encoder in enumerate(encoders):
        started = model.start_task(found, 0, 101.0 + at, "id", encoder)
        found = model.return_task(started, 0, 101.5 + at, counted=True, end=AttemptEnd("ENCODER_LOST", "it went away"))
    return found


def encoders(job: jobs_pb2.Job) -> list[str]:
    return [attempt.encoder for attempt in job.attempts]


def test_a_tenant_knows_an_encoder_again_without_its_address(calling):
    calling({Scope.SUBMIT, Scope.READ})
    first, other, again = encoders(PRESENTER.job(tried(ADDRESS, "10.1.2.4:50052", ADDRESS)))
    assert first == again != other
    assert (first.startswith("encoder-"), len(first) < 16) == (True, True)
    assert "10.1" not in first + other
    assert known_encoder(ADDRESS, PRESENTER.links) == first  # as the fleet tells operators
    (log,) = told_log(tried(), FfmpegLog().after(TaskLog(0, 100.0, "text", ADDRESS)), PRESENTER.encoder)
    assert log.encoder == first


def test_texts_of_earlier_versions_tell_a_tenant_no_address(calling):
    text = f"encoder {ADDRESS} went away (UNAVAILABLE: ipv4:{ADDRESS}: Failed to connect)"
    found = model.start_task(tried(), 0, 101.0, "id", ADDRESS)
    found = model.return_task(found, 0, 101.5, counted=True, end=AttemptEnd("ENCODER_LOST", text))
    found = model.start_task(found, 0, 102.0, "id", ADDRESS)
    found = model.fail_task(found, 0, Failure(13, f"Given up after 2 tries; the last one: {text}", "GIVEN_UP"), 103.0)
    calling({Scope.READ})
    told = PRESENTER.job(found)
    texts = [told.error.message, PRESENTER.video(found, 0).error.message, *(one.message for one in told.attempts)]
    assert [text.count(PRESENTER.encoder(ADDRESS)) for text in texts] == [2, 2, 2, 2]
    assert ADDRESS not in str(told)
    calling({Scope.FLEET})
    assert ADDRESS in PRESENTER.job(found).error.message


def test_gateways_that_share_the_secret_tell_one_name(calling):
    calling({Scope.READ})
    other = Presenter(LinkSigner(b"a secret that signs links", 9.0), lambda *_: None)
    unlike = Presenter(LinkSigner(b"another secret of a gateway", 60.0), lambda *_: None)
    assert PRESENTER.encoder(ADDRESS) == other.encoder(ADDRESS) != unlike.encoder(ADDRESS)


@pytest.mark.parametrize("scopes", [{Scope.FLEET}, {Scope.ADMIN}, COMMON_SCOPES, ALL_SCOPES])
def test_who_may_see_the_fleet_is_told_the_address(calling, scopes):
    calling(scopes)
    assert encoders(PRESENTER.job(tried(ADDRESS))) == [ADDRESS]


def test_every_name_is_for_those_who_may_see_the_fleet_and_none_stays_none(calling):
    calling({Scope.READ})
    instance, host, none = encoders(PRESENTER.job(tried("4f2a9c", "render-7.internal", "")))
    assert (instance.startswith("encoder-"), host.startswith("encoder-"), none) == (True, True, "")


def test_webhooks_tell_no_address():
    text = f"encoder {ADDRESS} went away"
    found = model.start_task(tried(), 0, 101.0, "id", ADDRESS)
    found = model.fail_task(found, 0, Failure(13, text, "GIVEN_UP"), 103.0)
    told = payload(PRESENTER, found, Occurrence(ENDED), 103.0, {})
    assert told.data.error.message.startswith("encoder encoder-")
    assert ADDRESS not in str(told)
