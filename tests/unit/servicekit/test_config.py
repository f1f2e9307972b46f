"""Settings that cannot be used stop the start with their name and value."""

import pytest

from encoder.config import EncoderSettings
from gateway.config import GatewaySettings
from servicekit.config import ConfigError


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.setenv("X_API_KEY", "secret-key")


def test_the_environment_is_read_with_its_lists(monkeypatch):
    monkeypatch.setenv("FETCH_ALLOW_CIDRS", "10.0.0.0/8, ::1/128")
    monkeypatch.setenv("X_API_KEY", "one, two")
    monkeypatch.setenv("ENCODERS", "a:1,b:2")
    settings = GatewaySettings.load()
    assert [str(network) for network in settings.fetch_allow_cidrs] == ["10.0.0.0/8", "::1/128"]
    assert settings.api_keys == ("one", "two")
    assert settings.encoders == ("a:1", "b:2")


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("PORT", "http", "PORT='http'"),
        ("PORT", "70000", "PORT='70000'"),
        ("LOG_LEVEL", "loud", "LOG_LEVEL='loud'"),
        ("FETCH_ALLOW_CIDRS", "10.0.0.0/99", "FETCH_ALLOW_CIDRS="),
        ("TASK_ATTEMPTS", "0", "TASK_ATTEMPTS='0'"),
        ("X_API_KEY", "one,,two", "X_API_KEY=(hidden)"),
        ("LINK_SECRET", "short", "LINK_SECRET=(hidden)"),
        ("VAST_URL", "http://console.vast.ai", "VAST_URL='http://console.vast.ai'"),
        ("FLEET_NAME", "My Fleet", "FLEET_NAME='My Fleet'"),
        ("VAST_API_KEY", "key", "VAST_WORKER_IMAGE='': Value error, give the encoder's image"),
    ],
)
def test_a_bad_value_is_named(monkeypatch, name, value, text):
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as caught:
        GatewaySettings.load()
    assert text in str(caught.value)


def test_without_a_key_the_gateway_does_not_start(monkeypatch):
    monkeypatch.delenv("X_API_KEY")
    with pytest.raises(ConfigError, match="X_API_KEY is not set"):
        GatewaySettings.load()


@pytest.mark.parametrize("service", [GatewaySettings, EncoderSettings])
@pytest.mark.parametrize(
    ("variables", "token"),
    [
        ({"GPU_API_KEY": "older"}, "older"),
        ({"GPU_API_KEY": "older", "SESSION_TOKEN": ""}, "older"),
        ({"GPU_API_KEY": "older", "SESSION_TOKEN": "newer"}, "newer"),
        ({}, ""),
    ],
)
def test_the_older_name_of_the_session_token_is_taken_where_it_is_not_given(monkeypatch, service, variables, token):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert service.load().session_token.get_secret_value() == token
