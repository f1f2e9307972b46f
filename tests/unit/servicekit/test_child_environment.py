"""What children get of the environment: an explicit list, and nothing that may be a key."""

import pytest

from servicekit.process import child_environment

SECRETS = (
    *("X_API_KEY", "LINK_SECRET", "SESSION_TOKEN", "GPU_API_KEY", "TLS_BUNDLE", "VAST_API_KEY", "RUNPOD_API_KEY"),
    *("AWS_SECRET_ACCESS_KEY", "NVIDIA_API_KEY", "NGC_API_KEY", "GITHUB_TOKEN", "PATH_SECRET", "x_api_key"),
)


@pytest.fixture(autouse=True)
def planted(monkeypatch):
    for name in SECRETS:
        monkeypatch.setenv(name, "planted")


def test_no_secret_is_inherited():
    assert "planted" not in child_environment().values()


@pytest.mark.parametrize("name", ["PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "CUDA_VISIBLE_DEVICES"])
def test_what_every_program_needs_is(monkeypatch, name):
    monkeypatch.setenv(name, "needed")
    assert child_environment()[name] == "needed"


@pytest.mark.parametrize(
    ("set_to", "inherited"),
    [("/a:/b", "/a:/b"), ("/a:", "/a"), (":/a::lib:./b", "/a"), (":", None), ("", None)],
)
def test_no_library_is_looked_for_in_the_current_folder(monkeypatch, set_to, inherited):
    monkeypatch.setenv("LD_LIBRARY_PATH", set_to)
    assert child_environment().get("LD_LIBRARY_PATH") == inherited


def test_names_and_prefixes_are_added_in_any_case_of_letters(monkeypatch):
    monkeypatch.setenv("grpc_verbosity", "debug")
    found = child_environment("GRPC_*", "GPU_API_KEY", TZ="UTC")
    assert (found["grpc_verbosity"], found["GPU_API_KEY"], found["TZ"]) == ("debug", "planted", "UTC")
    assert list(found.values()).count("planted") == 1
