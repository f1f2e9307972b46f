"""A gateway without encoders of its own, as a child: for fleets. It can be killed and started again."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import httpx

from api_gpu.local.certs import make_set
from servicekit.process import die_with_parent
from tools.pair import OUTSIDE, free_ports

KEY = "key-of-the-lone-gateway"
START_SECONDS = 60.0


class LoneGateway:
    """`python -m gateway` in a folder; `environment` is added to its settings. It has as many `descriptors` at most."""

    def __init__(self, folder, descriptors=0, **environment):
        self.folder = folder
        self.descriptors = descriptors
        http, grpc, health = free_ports(3)
        certificates = folder / "certs"
        make_set(certificates, ["localhost"])
        self.url, self.target, self.certificates = f"http://127.0.0.1:{http}", f"localhost:{grpc}", certificates
        inherited = {name: value for name, value in os.environ.items() if name not in OUTSIDE}
        self.environment = {
            **inherited,
            "HOST": "127.0.0.1",
            "PORT": str(http),
            "GRPC_PORT": str(grpc),
            "HEALTH_PORT": str(health),
            "METRICS_PORT": "0",
            "PUBLIC_URL": self.url,
            "DATA_DIR": str(folder / "data"),
            "LOGS_DIR": str(folder / "logs"),
            "X_API_KEY": KEY,
            "ENCODERS": "",
            "TLS_CERT": str(certificates / "gateway.crt"),
            "TLS_KEY": str(certificates / "gateway.key"),
            "TLS_CLIENT_CA": str(certificates / "client-ca.crt"),
            "ENCODER_CA": str(certificates / "ca.crt"),
            "ACK_WAIT_SECONDS": "2",
            **environment,
        }
        self.process = None
        self.http = httpx.Client(base_url=self.url, headers={"X-API-Key": KEY}, timeout=60)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.end(signal.SIGTERM)
        self.http.close()

    def start(self):
        command = [sys.executable, "-m", "gateway"]
        if self.descriptors:
            command = ["sh", "-c", f'ulimit -n {self.descriptors} && exec "$@"', "sh", *command]
        child = die_with_parent(command, signal.SIGTERM)
        with (self.folder / "gateway.log").open("ab") as log:
            self.process = subprocess.Popen(
                child.command, env=self.environment, stdout=log, stderr=log, preexec_fn=child.preexec
            )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(httpx.TransportError):
                if self.http.get("/health").status_code == 200:
                    return
            time.sleep(0.05)
        raise AssertionError(f"the gateway does not start:\n{(self.folder / 'gateway.log').read_text()}")

    def log_lines(self):
        """What it has written so far."""
        return (self.folder / "gateway.log").read_text().splitlines()

    def end(self, number):
        """Send a signal, and wait for the end; kill -9 as a crash would end it."""
        self.process.send_signal(number)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    def upload(self, path):
        answer = self.http.put(f"/assets/{path.name}", content=path.read_bytes())
        answer.raise_for_status()
        return answer.json()["name"]

    def caption(self, video, srt, **more):
        """Queue a job; its id."""
        given = {"url_video": self.upload(video), "url_srt": self.upload(srt), **more}
        answer = self.http.post("/jobs", json={"caption": given})
        answer.raise_for_status()
        return answer.json()["id"]

    def job(self, job_id):
        return self.http.get(f"/job/{job_id}").json()

    def ended(self, job_id, seconds=60):
        return self.until(lambda: self.over(self.job(job_id)), seconds)

    @staticmethod
    def over(job):
        return job if job["status"] not in ("IN_QUEUE", "IN_PROGRESS") else None

    def api_gpu(self, *arguments):
        """The command line against this gateway; what it printed."""
        at = {"ca": "ca.crt", "cert": "client.crt", "cert-key": "client.key"}
        files = [f"--{option}={self.certificates / name}" for option, name in at.items()]
        command = [sys.executable, "-m", "api_gpu", *arguments, f"--server={self.target}", f"--key={KEY}", *files]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)

    def fleet(self):
        return self.http.get("/fleet").json()

    def until(self, found, seconds=60):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.TransportError):
                if value := found():
                    return value
            time.sleep(0.05)
        raise AssertionError(f"it did not happen:\n{(self.folder / 'gateway.log').read_text()[-8000:]}")
