"""Every rule of google.api.http and every kind of field: served as expected, or refused with a reason."""

import json
import re

import pytest
from google.protobuf import json_format

from gateway.rest.protojson import decode
from tests.support.transcoding.cases import ANSWERS, CASES, WRITTEN
from tests.support.transcoding.echo import echoing, everything, proxied


@pytest.fixture
async def echo_and_client():
    async with echoing() as (echo, address), proxied(address) as client:
        yield echo, client


async def test_each_request_is_understood_or_refused(echo_and_client):
    echo, client = echo_and_client
    wrong = {}
    for case in CASES:
        echo.calls.clear()
        answer = await client.request(case.method, case.target, content=case.body)
        if fault := judge(case, answer, echo.calls):
            wrong[case.name] = fault
    assert not wrong, "\n".join(f"{name}: {fault}" for name, fault in wrong.items())


def judge(case, answer, calls):
    """What is wrong with the answer to a case; "" for nothing."""
    if case.refused:
        text = answer.json().get("message", "understood as " + str(calls))
        is_right = answer.status_code == case.status and not calls and re.search(case.refused, text)
        return "" if is_right else f"{answer.status_code} {text}"
    if answer.status_code != 200 or len(calls) != 1:
        return f"{answer.status_code} {answer.text[:300]}"
    understood = everything().FromString(calls[0])
    expected = json_format.ParseDict(case.expected, everything()())
    # NaN is not equal to itself.
    if understood.SerializeToString(deterministic=True) != expected.SerializeToString(deterministic=True):
        return f"understood as {understood}"
    if case.method == "HEAD":
        return ""
    # What was written is read back as what was sent.
    again = everything()()
    decode.merge(again, answer.json())
    is_same = again.SerializeToString(deterministic=True) == expected.SerializeToString(deterministic=True)
    return "" if is_same else answer.text


@pytest.mark.parametrize(("name", "echoed", "expected"), ANSWERS)
async def test_an_answer_may_be_a_field(echo_and_client, name, echoed, expected):
    answer = await echo_and_client[1].post(f"/v1/answers/{name}", json=echoed)
    assert answer.json() == expected


async def test_a_stream_of_messages_and_of_fields(echo_and_client):
    _, client = echo_and_client
    lines = (await client.get("/v1/stream?text=a")).text.splitlines()
    assert [json.loads(line)["result"]["text"] for line in lines] == ["a", "a"]
    lines = (await client.get("/v1/stream/nested?nested.count=5")).text.splitlines()
    assert [json.loads(line)["result"]["count"] for line in lines] == [5, 5]


async def test_a_float_is_written_in_its_fewest_digits(echo_and_client):
    numbers = {"float": 0.1, "floatValue": 16777216.0, "double": 0.1}
    answer = await echo_and_client[1].post("/v1/whole", json=numbers)
    assert {name: answer.json()[name] for name in numbers} == numbers
    assert '"float":0.1,' in answer.text
    assert (await echo_and_client[1].get("/v1/query?float=3.4028235e38")).json()["float"] == 3.4028235e38


async def test_every_kind_of_field_is_written_as_it_is_read(echo_and_client):
    answer = await echo_and_client[1].post("/v1/whole", content=json.dumps(WRITTEN))
    assert answer.json() == WRITTEN
    assert list(answer.json()) == list(WRITTEN)  # in the order of the proto
