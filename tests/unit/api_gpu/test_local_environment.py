"""The environments that `up` gives to the two services."""

from pathlib import Path

from api_gpu.local.data_dir import DataDir
from api_gpu.local.environment import ENCODER_SETTINGS, encoder_environment, gateway_environment
from encoder.config import EncoderSettings

FOLDER = DataDir(Path("/data"))


def test_the_encoder_gets_its_settings_and_no_others(monkeypatch):
    assert sorted(ENCODER_SETTINGS) == sorted(EncoderSettings.variables())
    for name in (*ENCODER_SETTINGS, "X_API_KEY", "VAST_API_KEY", "LINK_SECRET"):
        monkeypatch.setenv(name, "given")
    found = encoder_environment(FOLDER, PORT="1")
    assert found.keys() >= set(ENCODER_SETTINGS)
    assert not found.keys() & {"X_API_KEY", "VAST_API_KEY", "LINK_SECRET"}
    assert (found["PORT"], found["TLS_CERT"], found["CRF"]) == ("1", "/data/certs/encoder.crt", "given")


def test_the_gateway_gets_all(monkeypatch):
    monkeypatch.setenv("LINK_SECRET", "given")
    found = gateway_environment(FOLDER, X_API_KEY="key")
    assert (found["LINK_SECRET"], found["X_API_KEY"], found["DATA_DIR"]) == ("given", "key", "/data")
