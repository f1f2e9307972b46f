"""The docs say what the code does: settings, endpoints, commands, reasons, make targets, links."""

import ast
import re
from functools import cache

import pytest
import typer

from api_gpu.cli.main import app
from api_gpu.deploy.runpod import GPU_TYPES
from api_gpu.local.up import UpSettings
from encoder.codecs.nvenc import driver, nvdec
from encoder.config import EncoderSettings
from gateway.config import GatewaySettings
from gateway.fleet.settings import FleetSettings
from gateway.rest.routes import endpoints
from tests.support.paths import ROOT
from tools import n8n_options, reference
from tools.gpu_check.checks import CHECKS
from tools.gpu_check.report import COLUMNS

DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *ROOT.glob("clients/*/README.md")])
SETTINGS = (DOCS / "reference" / "settings.md").read_text()
PROGRAM = typer.main.get_command(app)
COMMANDS = PROGRAM.commands


def section(text, title):
    found = re.search(rf"^#+ {title}\n(.*?)(?=^#+ |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"there is no section {title}"
    return found.group(1)


def rows(text):
    """Of each row of a table: what stands in backquotes in the first cell, and the second cell."""
    cells = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| `")]
    return [(re.findall(r"`([^`]+)`", first), second.strip()) for first, second, *_ in cells]


def relative(page):
    return str(page.relative_to(ROOT))


TABLES = [("Gateway", GatewaySettings), ("Fleet", FleetSettings), ("Encoder", EncoderSettings)]


@pytest.mark.parametrize(("title", "settings"), TABLES)
def test_the_settings_tables_name_every_setting_and_no_other(title, settings):
    documented = {name for names, _ in rows(section(SETTINGS, title)) for name in names}
    elsewhere = FleetSettings.variables().keys() if title == "Gateway" else set()
    assert documented == settings.variables().keys() - elsewhere


@pytest.mark.parametrize(("title", "settings"), TABLES)
def test_the_defaults_in_the_tables_are_those_of_the_code(title, settings):
    for names, default in rows(section(SETTINGS, title)):
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
        assert f"`{name}`" in SETTINGS


def test_every_endpoint_is_documented_and_every_documented_one_exists():
    documented = set()
    for line in section((DOCS / "reference" / "http.md").read_text(), "Endpoints").splitlines():
        if line.startswith("| "):
            for method, paths in re.findall(
                r"(GET|POST|PUT|PATCH|DELETE) ((?:`/[^`]*`(?:, )?)+)", line.split(" | ")[0]
            ):
                documented |= {f"{method} {path}" for path in re.findall(r"`([^`]+)`", paths)}
    assert documented == set(endpoints())


def test_the_generated_pages_are_what_the_code_gives():
    reference.main("check")
    n8n_options.main("check")


def test_every_field_in_the_reference_has_a_type():
    assert "| `` |" not in (DOCS / "reference" / "grpc.md").read_text()


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_the_commands_and_options_in_examples_exist(page):
    for name, rest in re.findall(
        r"^(?:\.venv/bin/|\$ )?api-gpu (?!is\b)(\w+)((?:.|\\\n)*)", page.read_text(), re.MULTILINE
    ):
        named = set(re.findall(r"(--[a-z][a-z-]*)", rest))
        options = COMMANDS[name].commands.values() if hasattr(COMMANDS[name], "commands") else [COMMANDS[name]]
        parameters = [parameter for command in (PROGRAM, *options) for parameter in command.params]
        known = {option for parameter in parameters for option in (*parameter.opts, *parameter.secondary_opts)}
        assert named <= known | {"--help"}, name


@cache
def reasons_in_code():
    """Every word given as `reason=`, or first to a warning, and every other word in capitals that the code has."""
    certain, possible = set(), set()
    for path in [
        path for package in ("gateway", "encoder", "api_gpu", "servicekit") for path in (ROOT / package).rglob("*.py")
    ]:
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Constant)
                and isinstance(node.value, str)
                and re.fullmatch("[A-Z_]{4,}", node.value)
            ):
                possible.add(node.value)
            if isinstance(node, ast.JoinedStr) and isinstance(node.values[-1], ast.Constant):
                possible |= {f"{kind}{node.values[-1].value}" for kind in ("JOB", "MACHINE")}
            if isinstance(node, ast.Call):
                values = [keyword.value for keyword in node.keywords if keyword.arg == "reason"]
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                values += node.args[:1] if name.endswith("Warning") else []
                certain |= {value.value for value in values if isinstance(value, ast.Constant)}
    return certain - {""}, possible | certain


def test_every_reason_is_documented_and_every_documented_one_exists():
    certain, possible = reasons_in_code()
    documented = {name for names, _ in rows((DOCS / "reference" / "reasons.md").read_text()) for name in names}
    assert certain <= documented
    assert documented <= possible


def test_the_make_targets_that_the_docs_name_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        named = set(re.findall(r"`make ([a-z-]+)", page.read_text()))
        assert named <= targets, page.name


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_links_between_pages_lead_somewhere(page):
    for target, _, anchor in (link.partition("#") for link in re.findall(r"\]\((?!https?:)([^)]+)", page.read_text())):
        place = page.parent / target if target else page
        assert place.exists(), target
        if anchor and place.suffix == ".md":
            headings = re.findall(r"^#+ (.*)", place.read_text(), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}, anchor


@pytest.mark.parametrize("page", ["ARCHITECTURE.md", "CONTRIBUTING.md", "docs/decisions.md"])
def test_the_files_that_the_pages_name_exist(page):
    text = (ROOT / page).read_text()
    for name in re.findall(r"`((?:gateway|encoder|servicekit|api_gpu|protos|tests|tools)/[\w/.]*\w)`", text):
        if "reverse" not in name:
            assert (ROOT / name).exists() or (ROOT / f"{name}.py").exists(), name


def test_the_docs_of_nvenc_name_what_can_be_wrong():
    told = (DOCS / "guides" / "nvenc.md").read_text()
    faults = [driver.NO_DRIVER, driver.NO_VIDEO, driver.TOO_OLD, driver.NO_CARD, driver.NO_ENCODER, driver.FULL]
    faults += [
        nvdec.NO_LIBRARY,
        nvdec.SHUT_OUT,
        nvdec.NO_PROC,
        nvdec.WRONG,
        nvdec.NO_H264,
        nvdec.TOO_LONG,
        nvdec.FAILED,
    ]
    for fault in faults:
        assert f"| {re.split(r'[(:;,]', fault)[0].strip()}" in told


@pytest.mark.parametrize("page", [path for path in PAGES if path.name not in ("CHANGELOG.md", "grpc.md")], ids=relative)
def test_the_settings_that_a_page_names_exist(page):
    known = set().union(*(kind.variables() for kind in (GatewaySettings, EncoderSettings, UpSettings)))
    known |= reasons_in_code()[1]
    known |= {
        "GPU_API_KEY",
        "FORWARDED_ALLOW_IPS",
        "TLS_HOST",
        "CUDA_VISIBLE_DEVICES",
        "NVIDIA_DRIVER_CAPABILITIES",
        "REQUIRE_ALL",
        "NO_COLOR",
    }
    known |= {"GATEWAY_MEMORY", "ENCODER_MEMORY"}  # of the compose file alone
    named = set(re.findall(r"`([A-Z][A-Z0-9]*_[A-Z0-9_]+)[`=]", page.read_text()))
    known |= {f"{name}_FILE" for name in (*known, "NAME")}
    assert {name for name in named if not name.startswith(("PRESET_", "OTEL_"))} <= known


def test_the_docs_of_the_check_of_cards_name_its_checks_and_columns():
    sheet, guide = ((DOCS / "guides" / name).read_text() for name in ("gpu-check.md", "nvenc.md"))
    assert [names[0] for names, _ in rows(section(sheet, "What the rows tell"))] == list(CHECKS)
    assert f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}" in section(guide, "Cards")


def test_the_page_on_runpod_names_what_there_is():
    page = (DOCS / "guides" / "runpod.md").read_text()
    group = COMMANDS["runpod"].commands
    for option in (option for command in group.values() for parameter in command.params for option in parameter.opts):
        assert f"`{option}`" in page, option
    for gpu in GPU_TYPES:
        assert gpu in page
    for reason in ("LINK_FAILED", "LINK_REFUSED"):
        assert reason in page


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150
