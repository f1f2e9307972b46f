"""Settings from the environment, from a settings file beneath it, and secrets from files."""

import json
import os

import pytest

from api_gpu.local.up import UpSettings
from encoder.config import EncoderSettings
from gateway.config import GatewaySettings
from servicekit import secret_files
from servicekit.config import ConfigError, print_report

SECRET = "a-secret-of-16-characters"


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("X_API_KEY", "key")
    return tmp_path


def write(folder, text, name="api-gpu.toml"):
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("X_API_KEY", lambda settings: settings.x_api_key),
        ("ADMIN_API_KEY", lambda settings: settings.admin_api_key),
        ("LINK_SECRET", lambda settings: settings.link_secret),
        ("SESSION_TOKEN", lambda settings: settings.session_token),
        ("GPU_API_KEY", lambda settings: settings.session_token),
        ("RUNPOD_API_KEY", lambda settings: settings.providers["runpod"].api_key),
    ],
)
def test_each_secret_can_stand_in_a_file(monkeypatch, folder, name, read):
    monkeypatch.delenv("X_API_KEY")
    monkeypatch.setenv("X_API_KEY_FILE", str(write(folder, "key\n", "key")))
    monkeypatch.setenv(f"{name}_FILE", str(write(folder, f"{SECRET}\r\n", "secret")))
    assert read(GatewaySettings.load()).get_secret_value() == SECRET


def test_a_url_with_a_password_can_stand_in_a_file(monkeypatch, folder):
    monkeypatch.setenv("NATS_URL_FILE", str(write(folder, "nats://user:pass@host:1\n", "url")))
    assert GatewaySettings.load().nats_url == "nats://user:pass@host:1"


def test_a_byte_order_mark_is_no_part_of_a_file(monkeypatch, folder):
    monkeypatch.setenv("LINK_SECRET_FILE", str(write(folder, f"\ufeff{SECRET}\r\n", "secret")))
    write(folder, '\ufeffadmin_api_key = "another-of-16-characters"')
    settings = GatewaySettings.load()
    assert settings.link_secret.get_secret_value() == SECRET
    assert settings.admin_api_key.get_secret_value() == "another-of-16-characters"


def test_a_secret_can_come_through_a_pipe_but_not_be_waited_for_without_end(folder):
    os.mkfifo(pipe := folder / "pipe")
    with pytest.raises(ConfigError, match=r"X_API_KEY_FILE=.*pipe that has said nothing"):
        secret_files.read("X_API_KEY_FILE", str(pipe), pipe_seconds=0.01)
    holder = os.open(pipe, os.O_RDWR)
    os.write(holder, b"x" * 300)
    with pytest.raises(ConfigError, match="said nothing"):
        secret_files.read("X_API_KEY_FILE", str(pipe), pipe_seconds=0.01)
    os.close(holder)
    far, near = os.pipe()
    os.write(near, b"from a pipe\n")
    os.close(near)
    assert secret_files.read("X_API_KEY_FILE", f"/dev/fd/{far}") == "from a pipe"
    os.close(far)


@pytest.mark.parametrize("text", ["x_api_key = " + "[" * 5000, 'link_secret_file = "a\\u0000b"'])
def test_what_cannot_be_read_is_told_in_words(folder, text):
    write(folder, text)
    with pytest.raises(ConfigError, match=r"api-gpu.toml is no TOML|that is no path"):
        GatewaySettings.load()


def test_a_secret_in_two_places_is_refused(monkeypatch, folder):
    monkeypatch.setenv("X_API_KEY_FILE", str(write(folder, "other", "key")))
    with pytest.raises(ConfigError, match="X_API_KEY and X_API_KEY_FILE are both set in the environment; set one"):
        GatewaySettings.load()
    with pytest.raises(ConfigError, match="both set"):
        secret_files.from_environment("X_API_KEY")


@pytest.mark.parametrize(
    ("content", "text"),
    [(None, "cannot be read"), (b"\n", "must hold a secret"), (b"\xff", "UTF-8"), (b"x" * 300_000, "1 to")],
)
def test_a_file_that_holds_no_secret_is_named(monkeypatch, folder, content, text):
    path = folder / "key"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("LINK_SECRET_FILE", str(path))
    with pytest.raises(ConfigError, match=text) as caught:
        GatewaySettings.load()
    assert f"LINK_SECRET_FILE={path}" in str(caught.value)


def test_the_environment_wins_over_the_file_and_the_table_over_what_is_above(monkeypatch, folder):
    write(
        folder,
        "port = 1\ngrpc_port = 2\nhealth_port = 3\n[gateway]\ngrpc_port = 20\nhealth_port = 30\n[encoder]\nport = 9\n",
    )
    monkeypatch.setenv("HEALTH_PORT", "300")
    settings = GatewaySettings.load()
    assert (settings.port, settings.grpc_port, settings.health_port) == (1, 20, 300)


def test_a_file_may_have_numbers_lists_truth_and_secret_files(monkeypatch, folder):
    monkeypatch.delenv("X_API_KEY")
    write(folder, "one,two\n", "key")
    text = """
log_level = "debug"
[gateway]
x_api_key_file = "key"
encoders = ["a:1", "b:2"]
fetch_allow_cidrs = ["10.0.0.0/8", "::1"]
tls_require_client_cert = false
max_call_seconds = 1.5
cors_allow_origins = []
vast_max_usd_per_hour = 0.25
"""
    monkeypatch.setenv("API_GPU_SETTINGS", str(write(folder, text, "other.toml")))
    settings = GatewaySettings.load()
    assert (settings.api_keys, settings.encoders) == (("one", "two"), ("a:1", "b:2"))
    assert [str(network) for network in settings.fetch_allow_cidrs] == ["10.0.0.0/8", "::1/128"]
    assert (settings.tls_require_client_cert, settings.max_call_seconds, settings.log_level) == (False, 1.5, "debug")
    assert settings.providers["vast"].max_usd_per_hour == 0.25
    assert EncoderSettings.load().log_level == "debug"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[gateway]\nprot = 1", "prot is no setting of the gateway; the nearest is port"),
        ("x_api_kye = 'k'", "x_api_kye is no setting of the gateway; the nearest is x_api_key"),
        ("[gatway]\nport = 1", "there is no table \\[gatway\\]; the nearest is gateway"),
        ("[gateway]\nport = {}", "port must be text, a number, true, false, or a list"),
        ("gateway = 1", "`gateway` must be a table"),
        ("port = b", "is no TOML: .*line 1"),
        ("[gateway]\nport = 99999", "PORT='99999'"),
        ("[gateway]\nvast_api_kee = 'k'", "the nearest is vast_api_key"),
        ("[gateway]\nport_file = 'k'", "port_file is no setting"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(folder, text, said):
    write(folder, text)
    with pytest.raises(ConfigError, match=said):
        GatewaySettings.load()


def test_a_named_file_must_be_there(monkeypatch):
    monkeypatch.setenv("API_GPU_SETTINGS", "none.toml")
    with pytest.raises(ConfigError, match=r"API_GPU_SETTINGS=none\.toml: the file cannot be read"):
        EncoderSettings.load()


def test_up_reads_its_table_and_that_of_the_gateway(folder):
    write(folder, '[gateway]\nport = 8000\nlog_level = "debug"\n[up]\ngrpc_port = 8001\nencoder_port = 8002\n')
    settings = UpSettings.load()
    assert (settings.port, settings.grpc_port, settings.encoder_port) == (8000, 8001, 8002)
    write(folder, "[up]\nencoder_prot = 1")
    with pytest.raises(ConfigError, match="the nearest is encoder_port"):
        UpSettings.load()


def test_a_report_tells_where_settings_stand_and_no_secret(monkeypatch, folder, capsys):
    write(folder, '[gateway]\nport = 8000\nlink_secret_file = "secret"\nnats_url = "nats://me:hidden@host:4222"\n')
    write(folder, SECRET, "secret")
    assert print_report(GatewaySettings) == 0
    printed = capsys.readouterr().out
    rows = {row["name"]: (row["value"], row["origin"]) for row in json.loads(printed)["settings"]}
    assert rows["X_API_KEY"] == ("********", "X_API_KEY in the environment")
    assert rows["LINK_SECRET"] == ("********", "LINK_SECRET_FILE in [gateway] of api-gpu.toml")
    assert rows["PORT"] == ("8000", "PORT in [gateway] of api-gpu.toml")
    assert rows["NATS_URL"][0] == "nats://********@host:4222"
    assert rows["GRPC_PORT"] == ("50051", "default")
    assert rows["METRICS_PORT"] == ("9464", "default")  # which holds as long as it is free
    assert rows["VAST_SLOTS"] == ("3", "default")
    assert rows["WEBHOOK_SECRET"] == ("", "default")
    assert not any(secret in printed for secret in (SECRET, "hidden", '"key"'))


def test_a_report_of_settings_that_cannot_be_used_says_why(monkeypatch, capsys):
    monkeypatch.setenv("PORT", "http")
    monkeypatch.setenv("LINK_SECRET", "short")
    assert print_report(GatewaySettings) == 2
    printed = capsys.readouterr().out
    assert "PORT='http'" in json.loads(printed)["problem"]
    assert "short" not in printed
