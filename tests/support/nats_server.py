"""A nats-server of somebody else's, as a cluster would be: for several gateways, as processes."""

import contextlib
import shutil
import subprocess
import sys
from pathlib import Path

from tools.pair import free_ports


@contextlib.contextmanager
def serving(folder):
    """Yield its URL; it ends with the block."""
    (port,) = free_ports(1)
    binary = shutil.which("nats-server", path=str(Path(sys.executable).parent))
    command = [binary, "--jetstream", "--store_dir", folder, "--addr", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            yield f"nats://127.0.0.1:{port}"
        finally:
            process.terminate()
