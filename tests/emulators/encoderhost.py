"""Hosts for rented machines: what an emulator starts when a container is asked for."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from servicekit.process import die_with_parent
from tests.support.paths import ROOT
from tools.pair import free_ports


@dataclass
class Container:
    """A process in place of a container. `ports` maps its ports ("50052/tcp") to those of this machine."""

    process: subprocess.Popen
    ports: dict

    @property
    def is_alive(self):
        return self.process.poll() is None

    def kill(self):
        self.process.kill()
        self.process.wait()


class EncoderHost:
    """Starts `python -m encoder` with the environment that is ordered, as far as a machine without a card goes: x264,
    and a port of loopback. Called with the image, the environment and the label."""

    def __init__(self, folder, **settings):
        self.folder, self.settings, self.started = Path(folder), settings, []

    def __call__(self, image, environment, label):
        (port,) = free_ports(1)
        own = {
            "HOST": "127.0.0.1",
            "PORT": str(port),
            "HEALTH_PORT": "0",
            "METRICS_PORT": "0",
            "CODEC": "x264",
            "WORK_DIR": str(self.folder / label / "work"),
            "LOGS_DIR": str(self.folder / label / "logs"),
        }
        inherited = {key: value for key, value in os.environ.items() if key in ("PATH", "HOME", "LANG")}
        child = die_with_parent((sys.executable, "-m", "encoder"))
        process = subprocess.Popen(
            child.command,
            preexec_fn=child.preexec,
            cwd=ROOT,
            env=inherited | environment | own | self.settings,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        container = Container(process, {f"{environment.get('PORT', '50052')}/tcp": port})
        self.started.append(container)
        return container
