"""The manifests for Kubernetes: valid for its API and KEDA's, whole, and true to the settings of both services."""

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest
import yaml

from encoder.config import EncoderSettings
from gateway.app import CLOSE_SECONDS
from gateway.config import GatewaySettings
from gateway.services.keda import TASKS_PER_ENCODER
from gateway.workers.static import EncoderName
from servicekit.server import LIVENESS
from tests.integration.deploy.kustomization import built, containers, documents, named
from tests.support.missing import need
from tests.support.paths import ROOT

KUBERNETES = ROOT / "deploy" / "kubernetes"
OVERLAYS = ("cpu", "gpu")
SETTINGS = {"gateway": GatewaySettings, "encoder": EncoderSettings}
# What containers read beside the settings.
OTHERS = {"NVIDIA_DRIVER_CAPABILITIES"}
SECRETS = {
    "gateway": {"X_API_KEY": "k", "LINK_SECRET": "s" * 32, "SESSION_TOKEN": "t"},
    "encoder": {"SESSION_TOKEN": "t"},
}
CHARTS = {overlay: built(KUBERNETES / "overlays" / overlay) for overlay in OVERLAYS}

both = pytest.mark.parametrize("overlay", OVERLAYS)
each = pytest.mark.parametrize("name", SETTINGS)


def pod(overlay, name):
    return named(CHARTS[overlay], "Deployment", name)["spec"]["template"]["spec"]


def container(overlay, name):
    (found,) = containers(named(CHARTS[overlay], "Deployment", name))
    return found


def environment(overlay, name):
    return {entry["name"]: entry.get("value") for entry in container(overlay, name)["env"]}


def settings(overlay, name):
    """The settings as the container would read them."""
    given = {key: value for key, value in environment(overlay, name).items() if value is not None and key not in OTHERS}
    return SETTINGS[name].load(**{key.lower(): value for key, value in (given | SECRETS[name]).items()})


@both
def test_every_document_is_valid(overlay):
    schema = json.loads((Path(__file__).parent / "scaledobject.schema.json").read_text())
    for document in CHARTS[overlay]:
        if document["apiVersion"].startswith("keda.sh/"):
            jsonschema.validate(document, schema, cls=jsonschema.Draft202012Validator)
        else:
            kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


@pytest.mark.parametrize("overlay", [*OVERLAYS, "mine"])
def test_they_are_what_kustomize_makes_of_them(overlay, several):
    need("kubectl")
    folder = several.parent / overlay
    made = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, check=True, timeout=60).stdout
    assert in_order(yaml.safe_load_all(made)) == in_order(built(folder))


def in_order(found):
    """Documents by kind and name, and lists in one order: kustomize puts new entries first."""
    return {(one["kind"], one["metadata"]["name"]): plain(one) for one in found}


def plain(value):
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return sorted(map(plain, value), key=lambda one: json.dumps(one, sort_keys=True))
    return value


@both
@each
def test_the_environment_is_made_of_settings(overlay, name):
    given = environment(overlay, name)
    assert given.keys() - OTHERS <= SETTINGS[name].variables().keys()
    from_secret = {entry["name"] for entry in container(overlay, name)["env"] if "valueFrom" in entry}
    assert from_secret == SECRETS[name].keys()
    settings(overlay, name)  # every value can be used


@both
@each
def test_probes_and_ports_are_those_of_the_settings(overlay, name):
    ports = {port["name"]: port["containerPort"] for port in container(overlay, name)["ports"]}
    read = settings(overlay, name)
    expected = {"probes": read.health_port}
    expected |= {"http": read.port, "grpc": read.grpc_port} if name == "gateway" else {"grpc": read.port}
    assert ports == expected
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        grpc = container(overlay, name)[probe]["grpc"]
        assert grpc["port"] == read.health_port
        # A full disk ends readiness; no restart would help against it.
        assert grpc.get("service") == (LIVENESS if (name, probe) == ("gateway", "livenessProbe") else None)


@both
def test_services_lead_to_ports_that_pods_have(overlay):
    for service in [one for one in CHARTS[overlay] if one["kind"] == "Service"]:
        name = service["spec"]["selector"]["app.kubernetes.io/name"]
        ports = {port["name"]: port["containerPort"] for port in container(overlay, name)["ports"]}
        for port in service["spec"]["ports"]:
            assert ports[port["targetPort"]] == port["port"]


@both
@each
def test_whatever_selects_pods_selects_those_of_a_deployment(overlay, name):
    deployment = named(CHARTS[overlay], "Deployment", name)
    labels = {"app.kubernetes.io/name": name}
    assert deployment["spec"]["selector"]["matchLabels"] == labels
    assert deployment["spec"]["template"]["metadata"]["labels"] == labels
    assert named(CHARTS[overlay], "PodDisruptionBudget", name)["spec"]["selector"]["matchLabels"] == labels
    assert named(CHARTS[overlay], "NetworkPolicy", name)["spec"]["podSelector"]["matchLabels"] == labels


@both
def test_the_gateway_finds_the_encoders(overlay):
    (address,) = settings(overlay, "gateway").encoders
    service = named(CHARTS[overlay], "Service", "encoder")
    namespace = service["metadata"]["namespace"]
    assert EncoderName.parse(address) == EncoderName(f"encoder.{namespace}.svc", settings(overlay, "encoder").port)
    assert service["spec"]["clusterIP"] == "None"


@both
def test_keda_finds_the_gateway_and_knows_what_an_encoder_takes(overlay):
    spec = named(CHARTS[overlay], "ScaledObject", "encoder")["spec"]
    (trigger,) = spec["triggers"]
    service = named(CHARTS[overlay], "Service", "scaler")
    port = settings(overlay, "gateway").health_port
    assert trigger["metadata"]["scalerAddress"] == f"scaler.{service['metadata']['namespace']}.svc:{port}"
    assert trigger["metadata"][TASKS_PER_ENCODER] == str(settings(overlay, "encoder").batch_size)
    assert named(CHARTS[overlay], "Deployment", spec["scaleTargetRef"]["name"])
    assert "replicas" not in named(CHARTS[overlay], "Deployment", "encoder")["spec"]
    assert spec["minReplicaCount"] == 0


@both
def test_a_task_that_runs_ends_before_its_encoder_is_killed(overlay):
    encoder, grace = settings(overlay, "encoder"), pod(overlay, "encoder")["terminationGracePeriodSeconds"]
    assert encoder.max_task_seconds <= encoder.drain_seconds <= grace - 30
    assert settings(overlay, "gateway").max_task_seconds <= encoder.drain_seconds


@both
def test_the_gateway_closes_its_doors_before_it_is_killed(overlay):
    read, grace = settings(overlay, "gateway"), pod(overlay, "gateway")["terminationGracePeriodSeconds"]
    assert read.drain_seconds + CLOSE_SECONDS + 10 <= grace


@both
def test_a_gateway_that_keeps_jobs_and_files_on_a_volume_is_alone(overlay):
    spec = named(CHARTS[overlay], "Deployment", "gateway")["spec"]
    read = settings(overlay, "gateway")
    assert (read.nats_url, read.assets_url) == ("", "")
    assert (spec["replicas"], spec["strategy"]["type"]) == (1, "Recreate")


@both
@each
def test_every_path_of_the_settings_is_on_a_volume(overlay, name):
    mounts = {mount["mountPath"]: mount for mount in container(overlay, name)["volumeMounts"]}
    assert {mount["name"] for mount in mounts.values()} == {volume["name"] for volume in pod(overlay, name)["volumes"]}
    assert "/tmp" in mounts
    for field, value in settings(overlay, name):
        if isinstance(value, Path):
            at = next((path for path in mounts if value.is_relative_to(path)), None)
            assert at, f"{field.upper()}={value} is on the root, which is read-only"
            is_tls = field.startswith("tls_") or field == "encoder_ca"
            assert mounts[at].get("readOnly", False) is is_tls, field


@both
@each
def test_pods_have_no_rights(overlay, name):
    """What the level "restricted" of Pod Security asks for, and more."""
    spec, box = pod(overlay, name), container(overlay, name)["securityContext"]
    assert spec["securityContext"]["runAsNonRoot"]
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert box["capabilities"] == {"drop": ["ALL"]}
    assert box["readOnlyRootFilesystem"]
    assert box["allowPrivilegeEscalation"] is False
    assert spec["automountServiceAccountToken"] is False
    # A Service named like a setting would set it.
    assert spec["enableServiceLinks"] is False


@both
@each
def test_volumes_that_a_task_could_fill_have_a_limit(overlay, name):
    limits = [volume["emptyDir"] for volume in pod(overlay, name)["volumes"] if "emptyDir" in volume]
    assert limits
    assert all("sizeLimit" in limit for limit in limits)
    assert "memory" in container(overlay, name)["resources"]["limits"]


@both
def test_encoders_speak_to_nobody_and_only_gateways_speak_to_them(overlay):
    policy = named(CHARTS[overlay], "NetworkPolicy", "encoder")["spec"]
    assert set(policy["policyTypes"]) == {"Ingress", "Egress"}
    assert not policy.get("egress")
    gateways = {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "gateway"}}}
    assert policy["ingress"] == [{"from": [gateways], "ports": [{"port": settings(overlay, "encoder").port}]}]


@both
def test_the_gateway_may_ask_dns_in_the_cluster_and_on_the_node(overlay):
    egress = named(CHARTS[overlay], "NetworkPolicy", "gateway")["spec"]["egress"]
    (dns,) = [rule for rule in egress if {"port": 53, "protocol": "UDP"} in rule.get("ports", ())]
    assert {"port": 53, "protocol": "TCP"} in dns["ports"]
    system = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}
    assert dns["to"] == [system, {"ipBlock": {"cidr": "169.254.20.10/32"}}]


@both
def test_the_port_of_probes_is_kedas_alone(overlay):
    read = settings(overlay, "gateway")
    anyone, keda = named(CHARTS[overlay], "NetworkPolicy", "gateway")["spec"]["ingress"]
    assert anyone == {"ports": [{"port": read.port}, {"port": read.grpc_port}]}
    assert keda["ports"] == [{"port": read.health_port}]
    assert keda["from"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "keda"}}}]
    assert named(CHARTS[overlay], "NetworkPolicy", "nothing-else")["spec"]["podSelector"] == {}


def test_the_overlay_for_cards_asks_for_one_with_video():
    assert container("gpu", "encoder")["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert "video" in environment("gpu", "encoder")["NVIDIA_DRIVER_CAPABILITIES"].split(",")
    assert settings("gpu", "encoder").codec == "nvenc"
    assert settings("cpu", "encoder").codec == "x264"
    assert "nvidia.com/gpu" not in container("cpu", "encoder")["resources"]["limits"]


@both
def test_images_carry_the_version(overlay):
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    images = {name: container(overlay, name)["image"] for name in SETTINGS}
    kind = "encoder-gpu" if overlay == "gpu" else "encoder"
    assert images["gateway"] == f"registry.example.com/api-gpu-gateway:{version}"
    assert images["encoder"] == f"registry.example.com/api-gpu-{kind}:{version}"


@both
@each
def test_the_page_tells_how_each_secret_is_made(overlay, name):
    page = (ROOT / "docs" / "guides" / "kubernetes.md").read_text()
    entries = [entry["valueFrom"]["secretKeyRef"] for entry in container(overlay, name)["env"] if "valueFrom" in entry]
    for entry in entries:
        made = command(page, entry["name"])
        assert f"--from-literal={entry['key']}=" in made
    for volume in [volume for volume in pod(overlay, name)["volumes"] if "secret" in volume]:
        files = set(re.findall(r"--from-file=certs/(\S+)", command(page, volume["secret"]["secretName"])))
        read = settings(overlay, name)
        used = {value.name for field, value in read if field.startswith("tls_") and isinstance(value, Path)}
        assert files == used | ({read.encoder_ca.name} if name == "gateway" else set())


def command(page, secret):
    """The kubectl command of the page that makes the secret."""
    found = re.search(rf"kubectl create secret generic {secret} (?:.*\\\n)*.*", page)
    assert found, f"docs/guides/kubernetes.md does not make the secret {secret}"
    return found.group()


def test_a_patch_without_a_target_is_found(tmp_path):
    shutil.copytree(KUBERNETES, tmp_path / "kubernetes")
    patch = tmp_path / "kubernetes" / "overlays" / "cpu" / "encoder.yaml"
    patch.write_text(patch.read_text().replace("  name: encoder\nspec", "  name: worker\nspec"))
    with pytest.raises(ValueError, match="Deployment worker has 0 targets"):
        built(tmp_path / "kubernetes" / "overlays" / "cpu")


@pytest.fixture
def mine(tmp_path):
    """The manifests with the overlay that the page shows, as overlays/mine; its folder."""
    shutil.copytree(KUBERNETES, tmp_path / "kubernetes")
    folder = tmp_path / "kubernetes" / "overlays" / "mine"
    folder.mkdir()
    page = (ROOT / "docs" / "guides" / "kubernetes.md").read_text()
    for name, text in re.findall(r"```yaml\n# (\S+)\n(.*?)```", page, re.DOTALL):
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def several(mine):
    """The same, with what the page shows for several gateways."""
    said = yaml.safe_load((mine / "kustomization.yaml").read_text())
    said["resources"].append("nats.yaml")
    said["patches"].append({"path": "several.yaml"})
    (mine / "kustomization.yaml").write_text(yaml.safe_dump(said))
    return mine


def test_the_overlay_of_the_page_does_what_it_says(mine):
    made = built(mine)
    assert dict(named_environment(made, "gateway"))["PUBLIC_URL"] == "https://api.example.com"
    assert named(made, "ScaledObject", "encoder")["spec"]["maxReplicaCount"] == 10


def test_several_gateways_share_all_that_they_must(several):
    made = built(several)
    for document in made:
        if not document["apiVersion"].startswith("keda.sh/"):
            kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)
    spec = named(made, "Deployment", "gateway")["spec"]
    assert (spec["replicas"], spec["strategy"]) == (2, {"type": "RollingUpdate"})
    assert not [volume for volume in spec["template"]["spec"]["volumes"] if "persistentVolumeClaim" in volume]
    given = {name.lower(): value for name, value in named_environment(made, "gateway") if value is not None}
    read = GatewaySettings.load(**given | {"x_api_key": "k"})
    assert (read.nats_url, read.nats_replicas) == ("nats://nats.nats.svc:4222", 3)
    assert read.assets_url


def named_environment(made, name):
    for entry in containers(named(made, "Deployment", name))[0]["env"]:
        yield entry["name"], entry.get("value")


def test_every_file_is_used():
    used = {"base/kustomization.yaml", *(f"overlays/{overlay}/kustomization.yaml" for overlay in OVERLAYS)}
    for kustomization in list(used):
        (said,) = documents(KUBERNETES / kustomization)
        folder = Path(kustomization).parent
        used |= {str(folder / name) for name in said["resources"] if name.endswith(".yaml")}
        used |= {str(folder / patch["path"]) for patch in said.get("patches", ())}
    assert used == {str(path.relative_to(KUBERNETES)) for path in KUBERNETES.rglob("*.yaml")}
