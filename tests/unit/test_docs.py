"""The docs say what the code does: settings, endpoints, commands, make targets, links."""

import re

import pytest
import typer

from api_gpu.cli.main import app
from api_gpu.deploy.runpod import GPU_TYPES
from api_gpu.local.up import UpSettings
from encoder.codecs.nvenc import driver
from encoder.config import EncoderSettings
from gateway.config import GatewaySettings
from gateway.fleet.settings import FleetSettings
from gateway.rest.routes import endpoints
from tests.support.paths import ROOT

README = (ROOT / "README.md").read_text()


def section(title):
    found = re.search(rf"^#+ {title}\n(.*?)(?=^#+ |\Z)", README, re.MULTILINE | re.DOTALL)
    assert found, f"README.md has no section {title}"
    return found.group(1)


def table(title):
    """Of each row of the section's table: what stands in backquotes in the first cell, and the second cell."""
    rows = [line.strip("| ").split(" | ") for line in section(title).splitlines() if line.startswith("| `")]
    return [(re.findall(r"`([^`]+)`", first), second.strip()) for first, second, *_ in rows]


TABLES = [("Gateway", GatewaySettings), ("Fleet", FleetSettings), ("Encoder", EncoderSettings)]


@pytest.mark.parametrize(("title", "settings"), TABLES)
def test_the_settings_tables_name_every_setting_and_no_other(title, settings):
    documented = {name for names, _ in table(title) for name in names}
    elsewhere = FleetSettings.variables().keys() if title == "Gateway" else set()
    assert documented == settings.variables().keys() - elsewhere


@pytest.mark.parametrize(("title", "settings"), TABLES)
def test_the_defaults_in_the_tables_are_those_of_the_code(title, settings):
    for names, default in table(title):
        fields = [settings.variables()[name] for name in names]
        set_ = [plain(field.default) for field in fields if not field.is_required() and plain(field.default)]
        if set_:  # what has no default is described in words
            assert default.split(", ") == set_, names


def plain(value):
    """A default as the table writes it; "" for none."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return "" if value is None else f"{value:.12g}" if isinstance(value, float) else str(value)


def test_up_documents_its_own_settings():
    for name in UpSettings.variables():
        assert f"`{name}`" in README


def test_every_endpoint_is_documented_and_every_documented_one_exists():
    documented = set()
    for line in section("Endpoints").splitlines():
        if line.startswith("| "):
            for method, paths in re.findall(r"(GET|POST|PUT|DELETE) ((?:`/[^`]*`(?:, )?)+)", line.split(" | ")[0]):
                documented |= {f"{method} {path}" for path in re.findall(r"`([^`]+)`", paths)}
    assert documented == set(endpoints())


def test_every_command_is_documented():
    documented = {names[0].split()[1] for names, _ in table("Commands") if names[0].startswith("api-gpu ")}
    assert documented == set(typer.main.get_command(app).commands)


def test_the_options_in_examples_exist():
    commands = typer.main.get_command(app).commands
    for name, rest in re.findall(r"^\.venv/bin/api-gpu (\w+)(.*)", README, re.MULTILINE):
        named = set(re.findall(r"(--[a-z][a-z-]*)", rest))
        assert named <= {option for parameter in commands[name].params for option in parameter.opts}, name


@pytest.mark.parametrize("name", ["caption", "img2vid", "addaudio"])
def test_every_option_in_the_tables_of_the_operations_is_one_of_the_command(name):
    taken = {parameter.name for parameter in typer.main.get_command(app).commands[name].params}
    for names, _ in table(name):
        for option in names:
            snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", option.rpartition(".")[2]).lower()
            assert snake in taken | {"motion"}, option


def test_the_make_targets_that_the_docs_name_exist():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in ROOT.glob("*.md"):
        named = set(re.findall(r"`make ([a-z]+)", page.read_text()))
        assert named <= targets, page.name


@pytest.mark.parametrize("page", sorted(path.name for path in ROOT.glob("*.md")))
def test_links_between_pages_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / page).read_text()):
        assert (ROOT / target).exists(), target


def test_the_files_that_architecture_names_exist():
    text = (ROOT / "ARCHITECTURE.md").read_text()
    for name in re.findall(r"`((?:gateway|encoder|rpc|client|protos|tests)/[\w/.]*\w)`", text):
        if "concat" not in name:
            assert (ROOT / name).exists() or (ROOT / f"{name}.py").exists(), name


def test_the_docs_of_nvenc_name_what_can_be_wrong():
    told = (ROOT / "docs" / "nvenc.md").read_text()
    faults = [driver.NO_DRIVER, driver.NO_VIDEO, driver.TOO_OLD, driver.NO_CARD, driver.NO_ENCODER, driver.FULL]
    for fault in faults:
        assert f"| {re.split(r'[(:;,]', fault)[0].strip()}" in told


@pytest.mark.parametrize("page", ["fleet.md", "nvenc.md", "runpod.md", "vast.md"])
def test_the_settings_that_a_guide_names_exist(page):
    known = GatewaySettings.variables().keys() | EncoderSettings.variables().keys()
    named = set(re.findall(r"`([A-Z][A-Z0-9]*_[A-Z0-9_]+)[`=]", (ROOT / "docs" / page).read_text()))
    assert named - {"COST_LIMIT", "NVIDIA_DRIVER_CAPABILITIES", "RUNPOD_REST_URL"} <= known


def test_the_page_on_runpod_names_what_there_is():
    page = (ROOT / "docs" / "runpod.md").read_text()
    group = typer.main.get_command(app).commands["runpod"].commands
    for command, rest in re.findall(r"api-gpu runpod (\w+)((?:.|\\\n)*)", page):
        options = {
            option for parameter in group[command].params for option in [*parameter.opts, *parameter.secondary_opts]
        }
        assert set(re.findall(r"(--[a-z][a-z-]*)", rest)) <= options
    for option in (option for command in group.values() for parameter in command.params for option in parameter.opts):
        assert f"`{option}`" in page, option
    for gpu in GPU_TYPES:
        assert gpu in page
    for reason in ("LINK_FAILED", "LINK_REFUSED"):
        assert reason in page
        assert reason in (ROOT / "encoder" / "runpod" / "transfer.py").read_text()
