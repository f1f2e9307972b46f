"""The ways to serve on one machine: the compose file and the systemd unit, held to the settings and the images."""

import configparser
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from api_gpu.local.certs import make_set
from api_gpu.local.up import STOP_MARGIN_SECONDS, UpSettings
from encoder.config import EncoderSettings
from gateway.app import CLOSE_SECONDS
from gateway.config import GatewaySettings
from gateway.workers.static import EncoderName
from tests.integration.deploy.dockerfile import stages
from tests.support.missing import need
from tests.support.paths import ROOT

DEPLOY = ROOT / "deploy"
SCHEMA = json.loads((Path(__file__).parent / "compose.schema.json").read_text())
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
GPU = yaml.safe_load((DEPLOY / "compose.gpu.yaml").read_text())
SETTINGS = {"gateway": GatewaySettings, "encoder": EncoderSettings}
INTERPOLATED = re.compile(r"\$\{([A-Z_]+):-(.*)\}")

both = pytest.mark.parametrize("name", SETTINGS)


def service(name):
    return COMPOSE["services"][name]


def image(name):
    """The last stage of the service's image."""
    return stages(DEPLOY.parent / service(name)["build"]["dockerfile"])[-1]


def default(name, setting):
    return SETTINGS[name].variables()[setting.upper()].default


@pytest.mark.parametrize("said", [COMPOSE, GPU], ids=["compose.yaml", "compose.gpu.yaml"])
def test_the_compose_files_are_valid_and_their_images_are_there(said):
    jsonschema.validate(said, SCHEMA, cls=jsonschema.Draft202012Validator)
    for one in said["services"].values():
        assert (DEPLOY / COMPOSE["services"]["gateway"]["build"]["context"] / one["build"]["dockerfile"]).is_file()


def test_nothing_depends_on_the_name_of_the_project():
    """Panels and older versions of Compose do without it; volumes and networks are called otherwise then."""
    without = {key: value for key, value in COMPOSE.items() if key != "name"}
    jsonschema.validate(without, SCHEMA, cls=jsonschema.Draft202012Validator)
    assert COMPOSE["name"] not in without["volumes"].keys() | without["networks"].keys()
    told = [yaml.safe_dump(without), *(page.read_text() for page in (ROOT / "docs").rglob("*.md"))]
    assert not [name for text in told for name in re.findall(rf"{COMPOSE['name']}_\w+|COMPOSE_PROJECT_NAME", text)]


@both
def test_what_services_are_told_are_settings(name):
    known = SETTINGS[name].variables().keys() | {"FORWARDED_ALLOW_IPS"}
    assert service(name)["environment"].keys() <= known


def test_what_may_be_left_out_of_env_has_the_default_of_the_setting():
    for name in SETTINGS:
        for setting, value in service(name)["environment"].items():
            found = INTERPOLATED.fullmatch(str(value))
            if found:
                assert found.group(1) == setting
                if setting not in ("FORWARDED_ALLOW_IPS", "ENCODERS"):
                    assert found.group(2) == str(default(name, setting))


def test_what_env_does_not_change_is_fixed_for_a_reason_that_the_docs_tell():
    fixed = {
        setting
        for said in (COMPOSE, GPU)
        for one in said["services"].values()
        for setting, value in one.get("environment", {}).items()
        if not str(value).startswith("${")
    }
    assert fixed == {"PORT", "GRPC_PORT"}
    assert "Within its container `PORT` and `GRPC_PORT` stay" in (ROOT / "docs" / "guides" / "deploy.md").read_text()


def test_all_of_env_reaches_the_gateway_and_only_it_but_for_what_is_fixed_inside():
    # `--env-file` alone only fills in what stands in the file itself.
    assert {name: one.get("env_file") for name, one in COMPOSE["services"].items()} == {
        "certificates": None,
        "gateway": "../.env",
        "encoder": None,
    }
    for setting in ("port", "grpc_port"):  # in .env they are those of the host
        assert service("gateway")["environment"][setting.upper()] == default("gateway", setting)


def test_published_ports_are_those_of_clients_alone():
    ports = dict(port.rsplit(":", 1) for port in service("gateway")["ports"])
    expected = {name: str(default("gateway", name.lower())) for name in ("PORT", "GRPC_PORT")}
    assert ports == {f"${{{name}:-{port}}}": port for name, port in expected.items()}
    assert "ports" not in service("encoder")


def test_the_gateway_finds_the_encoder_by_a_name_that_its_certificate_has():
    given = INTERPOLATED.fullmatch(service("gateway")["environment"]["ENCODERS"])
    found = EncoderName.parse(given.group(2))
    assert found == EncoderName("encoder", default("encoder", "port"))
    assert f"--host {found.tls_name} " in service("certificates")["command"][-1]


@both
def test_each_stops_before_it_is_killed(name):
    grace = float(service(name)["stop_grace_period"].removesuffix("s"))
    assert default(name, "drain_seconds") + CLOSE_SECONDS + 10 <= grace


@both
def test_what_is_written_to_is_no_part_of_the_read_only_root(name):
    volumes = [volume.removesuffix(":ro").rpartition(":")[2] for volume in service(name)["volumes"]]
    writable = [*volumes, *(mount.partition(":")[0] for mount in service(name)["tmpfs"])]
    assert service(name)["read_only"] is True
    for setting in ("DATA_DIR", "LOGS_DIR", "WORK_DIR", "TLS_CERT"):
        if path := image(name).environment.get(setting):
            assert any(Path(path).is_relative_to(folder) for folder in writable), setting


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_each_container_has_its_limits_and_no_right_that_it_does_not_need(name):
    one = service(name)
    assert one["mem_limit"]
    assert one["pids_limit"] <= 4096
    assert one["read_only"] is True
    assert one["cap_drop"] == ["ALL"]
    assert one["security_opt"] == ["no-new-privileges:true"]
    assert ("cap_add" in one) == (one.get("user") == "root")


def test_encoders_have_no_way_out_and_no_keys_of_others():
    assert service("encoder")["networks"] == ["encoders"]
    assert COMPOSE["networks"]["encoders"]["internal"] is True
    mounted = {volume.partition(":")[0] for volume in service("encoder")["volumes"]}
    assert "certs" not in mounted
    assert "gateway-certs" not in mounted


def test_named_volumes_and_networks_are_declared_and_used():
    used = {
        volume.partition(":")[0]
        for one in COMPOSE["services"].values()
        for volume in one["volumes"]
        if not volume.startswith("/")
    }
    assert used == COMPOSE["volumes"].keys()
    networks = {name for one in COMPOSE["services"].values() for name in one.get("networks", ())}
    assert networks - {"default"} == COMPOSE["networks"].keys()
    for name in SETTINGS:
        assert service(name)["depends_on"] == {"certificates": {"condition": "service_completed_successfully"}}


def test_the_certificates_service_gives_each_what_it_needs(tmp_path):
    """Its command, run here: as this user, and with folders of the test in place of volumes."""
    *shell, script = service("certificates")["command"]
    for volume in service("certificates")["volumes"]:
        folder = tmp_path / volume.rpartition(":")[2].strip("/")
        folder.mkdir()
        script = re.sub(rf"(?<= )/{folder.name}(?=[/\s])", str(folder), script)
    script = script.replace("--owner 10001", f"--owner {os.getuid()}").replace("$$", "$")
    environment = os.environ | {
        "TLS_HOST": "video.example.com",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    for _ in range(2):  # at every start; the set is made once
        subprocess.run([*shell, script], env=environment, check=True, capture_output=True, timeout=60)
        made = {name: sorted(file.name for file in (tmp_path / f"{name}-certs").iterdir()) for name in SETTINGS}
        for name in SETTINGS:
            paths = [Path(v) for k, v in image(name).environment.items() if k.startswith("TLS_") or k == "ENCODER_CA"]
            assert made[name] == sorted(path.name for path in paths)
            assert {path.parent for path in paths} == {Path("/certs")}
    assert (tmp_path / "gateway-certs" / "ca.crt").read_bytes() == (tmp_path / "encoder-certs" / "ca.crt").read_bytes()
    assert make_set(tmp_path / "certs") is False


@pytest.fixture
def unit():
    parser = configparser.RawConfigParser(strict=False, delimiters=("=",))
    parser.optionxform = str
    parser.read_string((DEPLOY / "api-gpu.service").read_text())
    return parser


def test_the_unit_starts_up_in_its_own_folder(unit):
    said = unit["Service"]
    assert said["ExecStart"].endswith("/bin/api-gpu up")
    setting, _, folder = said["Environment"].partition("=")
    assert setting.lower() in UpSettings.model_fields
    assert folder == f"/var/lib/{said['StateDirectory']}" == said["WorkingDirectory"]
    assert unit["Install"]["WantedBy"] == "multi-user.target"


def test_the_unit_waits_for_both_to_end(unit):
    seconds = UpSettings.model_fields["drain_seconds"].default + STOP_MARGIN_SECONDS
    encoder = EncoderSettings.model_fields["drain_seconds"].default
    assert float(unit["Service"]["TimeoutStopSec"]) >= seconds + max(seconds, encoder)
    assert unit["Service"]["KillMode"] == "mixed"  # the signal is for `up` alone, which ends the two in their order


@pytest.mark.parametrize(
    ("directive", "value"),
    [
        ("DynamicUser", "yes"),
        ("NoNewPrivileges", "yes"),
        ("ProtectSystem", "strict"),
        ("ProtectHome", "yes"),
        ("PrivateTmp", "yes"),
        ("PrivateDevices", "yes"),
        ("CapabilityBoundingSet", ""),
        ("UMask", "0077"),
    ],
)
def test_the_unit_has_no_rights(unit, directive, value):
    assert unit["Service"][directive] == value


def test_systemd_takes_the_unit(tmp_path):
    need("systemd-analyze")
    text = (DEPLOY / "api-gpu.service").read_text()
    command = re.search(r"^ExecStart=(\S+)", text, re.MULTILINE).group(1)
    path = tmp_path / "api-gpu.service"
    path.write_text(text.replace(f"ExecStart={command}", f"ExecStart={Path(sys.executable).with_name('api-gpu')}"))
    done = subprocess.run(["systemd-analyze", "verify", path], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_pages_name_settings_and_files_that_exist():
    known = {name for one in (GatewaySettings, EncoderSettings, UpSettings) for name in one.variables()}
    for page in ("deploy", "easypanel", "kubernetes"):
        text = (ROOT / "docs" / "guides" / f"{page}.md").read_text()
        for name in re.findall(r"deploy/[\w./-]*\w", text):
            assert (ROOT / name).exists(), f"{page}.md: {name}"
        named = set(re.findall(r"`([A-Z]+_[A-Z_]+)(?:=[^`]*)?`", text))
        assert named <= known | {"TLS_HOST", "FORWARDED_ALLOW_IPS", "GATEWAY_MEMORY", "ENCODER_MEMORY"}, page
