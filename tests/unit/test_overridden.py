"""Libraries of which the gateway overrides private parts: these are as they were, and the library's version is bounded.

A failure here after an update means: read the library's change, adapt the override, and only then move the bound.
"""

import inspect
import tomllib
from importlib import metadata

import pytest
from nats.aio.client import Client
from nats.aio.transport import TcpTransport
from packaging.requirements import Requirement
from packaging.version import Version
from uvicorn import Server
from uvicorn.protocols.http import httptools_impl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from tests.support.paths import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

# gateway/rest/server.py subclasses uvicorn's protocol and server; no release promises these.
UVICORN = {
    (HttpToolsProtocol, "connection_made"): ["self", "transport"],
    (HttpToolsProtocol, "connection_lost"): ["self", "exc"],
    (HttpToolsProtocol, "data_received"): ["self", "data"],
    (HttpToolsProtocol, "on_message_begin"): ["self"],
    (HttpToolsProtocol, "on_url"): ["self", "url"],
    (HttpToolsProtocol, "on_header"): ["self", "name", "value"],
    (HttpToolsProtocol, "on_headers_complete"): ["self"],
    (HttpToolsProtocol, "on_body"): ["self", "body"],
    (HttpToolsProtocol, "on_message_complete"): ["self"],
    (HttpToolsProtocol, "on_response_complete"): ["self"],
    (HttpToolsProtocol, "send_400_response"): ["self", "msg"],
    (HttpToolsProtocol, "timeout_keep_alive_handler"): ["self"],
    (HttpToolsProtocol, "_unset_keepalive_if_required"): ["self"],
    (HttpToolsProtocol, "pause_writing"): ["self"],
    (HttpToolsProtocol, "resume_writing"): ["self"],
    (Server, "capture_signals"): ["self"],
    (Server, "on_tick"): ["self", "counter"],
    (Server, "startup"): ["self", "sockets"],
}
# gateway/jetstream/connection.py sets an option on the socket of each connection, for which nats-py has no hook.
NATS = {(Client, "_connect_to_server"): ["self", "s"]}


@pytest.mark.parametrize(("owner", "name"), [*UVICORN, *NATS])
def test_what_is_overridden_is_called_as_it_was(owner, name):
    assert list(inspect.signature(getattr(owner, name)).parameters) == (UVICORN | NATS)[owner, name]


def test_the_attributes_that_are_read_are_there():
    protocol = inspect.getsource(HttpToolsProtocol.__init__) + inspect.getsource(httptools_impl.RequestResponseCycle)
    for name in ("self.cycle", "self.transport", "self.timeout_keep_alive_task", "self.timeout_keep_alive ="):
        assert name in protocol
    assert "self.pipeline: deque" in protocol
    cycle = inspect.getsource(RequestResponseCycle.__init__)
    for name in ("self.response_complete", "self.response_started", "self.disconnected", "self.message_event"):
        assert name in cycle
    assert httptools_impl.STATUS_LINE[200].startswith(b"HTTP/1.1 200")
    assert "self._io_writer" in inspect.getsource(TcpTransport)
    assert "self._transport" in inspect.getsource(Client)


@pytest.mark.parametrize("name", ["uvicorn", "nats-py"])
def test_only_versions_that_were_read_are_let_in(name):
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    found = [need for group in groups for need in map(Requirement, group) if need.name == name]
    assert found
    installed = Version(metadata.version(name))
    following = f"{installed.major}.{installed.minor + 1}"
    for need in found:
        assert installed in need.specifier
        assert following not in need.specifier, f"{name} has private parts overridden: bound it by <{following}"
