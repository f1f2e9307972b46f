"""What callers hand back: taken as it was given, refused or ignored when it is anything else."""

from base64 import urlsafe_b64decode

import pytest

from gateway.assets.links import LinkSigner
from gateway.jobs.listing import JobFilter
from gateway.jobs.model import Status
from gateway.services.tokens import EventId, PageTokens
from servicekit.errors import InvalidArgument

JOB = "0198c0ffee00" + "a" * 20
ALL, FAILED = JobFilter(), JobFilter(Status.FAILED)
OTHERS = (
    FAILED,
    JobFilter(operation="caption"),
    JobFilter(tenant="acme"),
    JobFilter(metadata=(("a", "b"),)),
    JobFilter(created_after=1.0),
    JobFilter(created_before=1.0),
)
TOKENS = PageTokens(LinkSigner(b"s" * 32, 60))


def test_a_token_leads_to_the_job_that_it_was_made_for():
    assert TOKENS.read(TOKENS.make(JOB, FAILED), FAILED) == JOB
    assert (TOKENS.make("", ALL), TOKENS.read("", ALL)) == ("", "")


def test_a_token_tells_nobody_what_it_has():
    token = TOKENS.make(JOB, FAILED)
    told = urlsafe_b64decode(token + "=" * (-len(token) % 4))
    assert JOB not in token
    assert JOB.encode() not in told
    assert bytes.fromhex(JOB) not in told


@pytest.mark.parametrize(
    "token",
    [
        "x",
        ".",
        JOB,
        f"{JOB}.",
        f"{JOB}.{'0' * 64}",
        TOKENS.make(JOB, ALL)[:-1],
        TOKENS.make(JOB, ALL)[1:],
        TOKENS.make(JOB, ALL) + " ",
        *(TOKENS.make(JOB, other) for other in OTHERS),
        PageTokens(LinkSigner(b"t" * 32, 60)).make(JOB, ALL),
        "é\ud800",
        "a" * 100_000,
    ],
    ids=lambda token: f"of {len(token)} characters",  # all that is the same in each process
)
def test_any_other_token_is_refused(token):
    with pytest.raises(InvalidArgument) as caught:
        TOKENS.read(token, ALL)
    assert (caught.value.reason, list(caught.value.fields)) == ("BAD_PAGE_TOKEN", ["page_token"])


@pytest.mark.parametrize("items", [(), (0,), (3, 499), range(500)], ids=len)
def test_an_event_id_holds_what_was_told(items):
    place = EventId(JOB, frozenset(items))
    assert EventId.parse(str(place), JOB) == place
    assert len(str(place)) < 200


def test_the_id_of_the_last_event():
    assert EventId.parse(str(EventId(JOB, is_end=True)), JOB).is_end


@pytest.mark.parametrize("text", ["", "x", f"{JOB}/", f"{JOB}/x", f"{JOB}/-1", "7/end", f"{JOB}/{'f' * 5000}", "é/1"])
def test_what_is_no_event_id_of_the_job_begins_anew(text):
    assert EventId.parse(text, JOB) == EventId(JOB)
