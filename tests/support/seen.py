"""The caller's side of a run: notes what an encoder tells."""

from dataclasses import dataclass, field

from apigpu.encoder.v1.encoder_pb2 import EncodeProgress


@dataclass
class Seen:
    """Events, see gateway/workers/base.py. `told` has their names in order, repeats left out."""

    is_shutting_down: bool = False
    told: list[str] = field(default_factory=list)
    is_starting: list[bool] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    steps: list[EncodeProgress] = field(default_factory=list)
    result: bytes = b""
    fault: Exception | None = None

    async def waiting(self, *, is_starting, reason=""):
        self._note("waiting")
        self.is_starting.append(is_starting)
        self.reasons += [reason] if reason else []

    async def started(self):
        self._note("started")
        if self.fault:
            raise self.fault

    async def progress(self, progress):
        self._note("progress")
        self.steps.append(progress)

    async def chunk(self, data):
        self._note("chunk")
        self.result += data

    def _note(self, name):
        if self.told[-1:] != [name]:
            self.told.append(name)
