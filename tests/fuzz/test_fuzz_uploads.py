"""The messages of an upload in any order: a stored file, or an error of the caller's, and nothing is left."""

import grpc
import pytest
from hypothesis import strategies as st

from apigpu.v1.assets_pb2 import UploadAssetRequest, UploadFinish, UploadHeader
from servicekit.interceptors import REQUEST_ID
from tests.integration.gateway.services.test_asset_service import serving
from tests.support.fuzz import fuzz, in_loop
from tests.support.until import within

DIGESTS = st.sampled_from(["", "0" * 64, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "zz", "é"])
SIZES = st.none() | st.integers(-(2**63), 2**63 - 1) | st.integers(0, 8)
HEADERS = st.builds(UploadHeader, filename=st.text(max_size=20), size_bytes=SIZES, sha256=DIGESTS)
FINISHES = st.builds(UploadFinish, size_bytes=SIZES, sha256=DIGESTS)
MESSAGES = (
    st.builds(lambda header: UploadAssetRequest(header=header), HEADERS)
    | st.builds(lambda chunk: UploadAssetRequest(chunk=chunk), st.binary(max_size=8))
    | st.builds(lambda finish: UploadAssetRequest(finish=finish), FINISHES)
    | st.just(UploadAssetRequest())
)
CALLERS = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.DATA_LOSS,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    with in_loop(serving(tmp_path_factory.mktemp("stored"))) as opened:
        yield opened


async def upload(stub, messages):
    """Send the messages; return the status of the call."""
    try:
        await within(stub.UploadAsset(iter(messages)))
    except grpc.aio.AioRpcError as error:
        if REQUEST_ID in dict(error.trailing_metadata()):
            return error.code()
        # Refused while it wrote: the client's gRPC made the status, and dropped the server's.
        return grpc.StatusCode.INVALID_ARGUMENT
    return grpc.StatusCode.OK


@fuzz(first=HEADERS, rest=st.lists(MESSAGES, max_size=6))
def test_messages_in_any_order(stored, first, rest):
    runner, stub = stored
    assert runner.run(upload(stub, [UploadAssetRequest(header=first), *rest])) in CALLERS | {grpc.StatusCode.OK}


@fuzz(messages=st.lists(MESSAGES, max_size=4))
def test_messages_without_a_beginning(stored, messages):
    runner, stub = stored
    assert runner.run(upload(stub, messages)) in CALLERS | {grpc.StatusCode.OK}
