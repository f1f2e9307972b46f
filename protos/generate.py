"""Makes gen/ from protos/, and holds it to them.

generate.py write     write gen/
generate.py check     fail when gen/ is not what protos/ give
generate.py breaking  fail when protos/ break clients of the previous commit of main
generate.py export    copy the public protos and all that they import to dist/protos
"""

import os
import shutil
import subprocess
import sys
import tempfile
from filecmp import dircmp
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
GEN = ROOT / "gen"
WELL_KNOWN = Path(protoc.__file__).parent / "_proto"
DESCRIPTORS = Path("apigpu") / "descriptors.binpb"
# Python has their code from the package googleapis-common-protos.
PACKAGED = ("google/api/", "google/rpc/")


def generate(target: Path) -> None:
    """Write messages, stubs, their types, the descriptor set (with imports and comments), options, the OpenAPI document
    and its examples below `target`."""
    target.mkdir(parents=True, exist_ok=True)
    (target / DESCRIPTORS).parent.mkdir(exist_ok=True)
    found = sorted(str(path.relative_to(PROTOS)) for path in PROTOS.rglob("*.proto"))
    files = [name for name in found if not name.startswith(PACKAGED)]
    services = [name for name in files if "service " in (PROTOS / name).read_text()]
    run_protoc(f"--python_out={target}", f"--mypy_out=quiet:{target}", *files)
    run_protoc(f"--grpc_python_out={target}", f"--mypy_grpc_out=quiet:{target}", *services)
    run_protoc(f"--descriptor_set_out={target / DESCRIPTORS}", "--include_imports", "--include_source_info", *files)
    (target / "apigpu" / "py.typed").touch()
    run_tool("client_options", target)
    run_tool("examples", target)


def run_tool(name: str, target: Path) -> None:
    """Write what follows from what was just generated, in a process that imports it from there."""
    command = [sys.executable, "-m", f"tools.{name}", "write", target]
    paths = os.pathsep.join([str(target), str(ROOT)])
    if subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": paths}).returncode != 0:
        sys.exit(f"tools.{name} failed; see above")


def run_protoc(*arguments: str) -> None:
    includes = [f"--proto_path={path}" for path in (PROTOS, WELL_KNOWN)]
    plugins = [
        f"--plugin={name}={Path(sys.executable).parent / name}" for name in ("protoc-gen-mypy", "protoc-gen-mypy_grpc")
    ]
    if protoc.main(["protoc", *includes, *plugins, *arguments]) != 0:
        sys.exit("protoc failed; see above")


def write() -> None:
    shutil.rmtree(GEN, ignore_errors=True)
    generate(GEN)


def check() -> None:
    with tempfile.TemporaryDirectory() as fresh:
        generate(Path(fresh))
        stale = list(differences(dircmp(fresh, GEN, ignore=["__pycache__"])))
    if stale:
        sys.exit(f"gen/ is not what protos/ give: {', '.join(stale)}; run `make gen`")


def differences(comparison: "dircmp[str]") -> list[str]:
    here = [*comparison.left_only, *comparison.right_only, *comparison.diff_files]
    return here + [name for sub in comparison.subdirs.values() for name in differences(sub)]


def breaking() -> None:
    """Hold protos/ against the descriptor set that the commit before the last one carries."""
    revision = previous_commit()
    shown = subprocess.run(["git", "show", f"{revision}:gen/{DESCRIPTORS}"], cwd=ROOT, capture_output=True)
    if not revision or shown.returncode != 0:
        print("buf breaking: no earlier commit with descriptors to compare with")
        return
    with tempfile.NamedTemporaryFile(suffix=".binpb") as against:
        against.write(shown.stdout)
        against.flush()
        buf = Path(sys.executable).parent / "buf"
        command = [buf, "breaking", "protos", "--exclude-imports", "--against", against.name]
        sys.exit(subprocess.run(command, cwd=ROOT).returncode)


def previous_commit() -> str:
    """HEAD while protos/ have changes that are not committed, else its parent."""
    dirty = subprocess.run(["git", "diff", "--quiet", "HEAD", "--", "protos"], cwd=ROOT).returncode != 0
    name = "HEAD" if dirty else "HEAD~1"
    return subprocess.run(
        ["git", "rev-parse", "--verify", "--quiet", name], cwd=ROOT, capture_output=True, text=True
    ).stdout.strip()


def export() -> None:
    target = ROOT / "dist" / "protos"
    shutil.rmtree(target, ignore_errors=True)
    for public in (Path("apigpu") / "v1", Path("google")):
        shutil.copytree(PROTOS / public, target / public)


COMMANDS = {"write": write, "check": check, "breaking": breaking, "export": export}

if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in COMMANDS:
        sys.exit(__doc__)
    COMMANDS[sys.argv[1]]()
