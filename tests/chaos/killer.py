"""Kills services and cuts lines at random moments, one nats-server at a time at most; all come back soon."""

import random
import signal
import threading
import time
from collections import Counter

from tests.chaos.services import Services


class Killer:
    """Works on a thread of its own during the block; `done` counts what was done to whom."""

    def __init__(self, services: Services, seed: int, pause_seconds: float, most: int | None = None) -> None:
        """Pause for `pause_seconds` on average; end after `most` of them, where it is given."""
        self._services, self._pause_seconds, self._most = services, pause_seconds, most
        self._chance = random.Random(seed)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.done: Counter[str] = Counter()

    def __enter__(self) -> "Killer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        while self._most is None or self.done.total() < self._most:
            if self._ending.wait(self._chance.uniform(0.5, 1.5) * self._pause_seconds):
                return
            victims = [*self._services.processes, *self._services.cluster.processes, "line0", "line1"]
            victim = self._chance.choice(victims)
            self.done[victim] += 1
            if victim in self._services.processes:
                self._kill(victim)
            elif victim.startswith("line"):
                self._services.relays[int(victim[-1])].cut()
            else:
                self._services.cluster.kill(victim)
                time.sleep(self._chance.uniform(0, 1))
                self._services.starter.submit(self._services.cluster.start, victim).result()

    def _kill(self, victim: str) -> None:
        process = self._services.processes[victim]
        process.end(signal.SIGKILL)
        time.sleep(self._chance.uniform(0, 0.5))
        self._services.starter.submit(process.start).result()
