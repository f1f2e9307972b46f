"""The encoder's side of the worker: starts it, sends it requests, receives the results, restarts it when it is lost."""

import asyncio
import contextlib
import contextvars
import socket
from collections import Counter
from dataclasses import replace

import structlog

from encoder.codecs.base import CodecFault
from encoder.codecs.card import Card, CardReport
from encoder.codecs.nvenc.request import DEVICE, MAX_MESSAGE_BYTES, EncodeRequest, EncodeResult, Parameters
from servicekit import log_context
from servicekit.child_logs import relay
from servicekit.codec import from_json, to_json
from servicekit.process import kill_group, module_command, spawn

log = structlog.get_logger("encoder")

START_SECONDS = 60.0
STOP_SECONDS = 5.0
# A session needs a few frames to find that its pipes are closed.
STUCK_SECONDS = 5.0
GONE = "the process that speaks to the driver has ended; the card or its driver may be lost, see the encoder's log"


class WorkerClient:
    """One worker at a time, and the requests that it works at."""

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = parameters
        self._starting = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._channel: socket.socket | None = None
        self._pending: dict[int, asyncio.Future[EncodeResult]] = {}
        self._sessions: Counter[int] = Counter()
        self._requests = 0
        self._is_spoiled = False
        self._watchers: dict[asyncio.Task[None], asyncio.subprocess.Process] = {}
        self._cards: tuple[Card, ...] = ()
        # Why the last worker could not start; "" when it did. And the cards of the last one that did.
        self.start_fault = ""
        self.device = ""

    @property
    def cards(self) -> tuple[Card, ...]:
        """The cards, as the last worker found them, with the sessions that are open now."""
        return tuple(replace(card, sessions=self._sessions[number]) for number, card in enumerate(self._cards))

    @property
    def fault(self) -> str:
        """Why no card can be used; "" when one can."""
        if any(not card.fault for card in self._cards):
            return ""
        return "; ".join(f"{card.name}: {card.fault}" for card in self._cards) or "no card was found"

    async def start(self) -> None:
        """Start a worker, if there is none; `cards` are known then. Raises CodecFault when it cannot start."""
        async with self._starting:
            if self._channel is not None:
                return
            try:
                await self._start_worker()
            except CodecFault as error:
                self.start_fault = error.message.removeprefix("nvenc: ").rstrip(".")
                raise
            self.start_fault = ""
            self.device = ", ".join(card.name for card in self._cards if not card.fault)

    async def take_card(self, parameters: Parameters) -> int:
        """Return the number of the card with the fewest sessions, of those that support the parameters, and count one
        more on it until `release_card`. It is CUDA's own number, in every process with the same CUDA_VISIBLE_DEVICES.
        Raises CodecFault when there is no worker or no such card."""
        await self.start()
        faults = [card.fault or parameters.find_unsupported(card) for card in self._cards]
        usable = [number for number, fault in enumerate(faults) if not fault]
        if not usable:
            raise CodecFault(f"nvenc: {'; '.join(faults)}.", reason="CODEC_MISSING")
        gpu = min(usable, key=lambda card: self._sessions[card])
        self._sessions[gpu] += 1
        return gpu

    def release_card(self, gpu: int) -> None:
        """Count one session less on a card."""
        self._sessions[gpu] -= 1

    async def send(self, request: EncodeRequest, frames: int, bitstream: int) -> "asyncio.Future[EncodeResult]":
        """Send a request, whose card was taken, under a number of its own. The worker has copies of the file
        descriptors then. Raises CodecFault when there is no worker or no such card."""
        await self.start()
        self._requests += 1
        # A worker that was started since the card was taken may have found others.
        card = next(iter(self._cards[request.gpu :]), None)
        fault = (card.fault or request.parameters.find_unsupported(card)) if card else GONE
        if card is None or fault:
            raise CodecFault(f"nvenc: {fault}.", reason="CODEC_FAILED")
        limits = card.formats[request.parameters.format]
        ids = dict(log_context.current())
        request = replace(request, number=self._requests, limits=limits, log_ids=ids)
        future: asyncio.Future[EncodeResult] = asyncio.get_running_loop().create_future()
        assert self._channel is not None
        try:
            socket.send_fds(self._channel, [to_json(request)], [frames, bitstream])
        except OSError as error:
            raise CodecFault(f"nvenc: {GONE}.", reason="CODEC_FAILED") from error
        self._pending[request.number] = future
        return future

    async def wait_closed(self, result: "asyncio.Future[EncodeResult]") -> None:
        """Wait for the end of a request whose pipes are closed. A worker that does not come to it is killed."""
        await asyncio.wait([result], timeout=STUCK_SECONDS)
        if not result.done() and self._process is not None:
            log.warning("nvenc worker stuck", sessions=len(self._pending))
            kill_group(self._process)
        await asyncio.wait([result])

    async def close(self) -> None:
        """Stop the worker, and those before it that have not ended yet."""
        self._disconnect()
        if self._watchers:
            await asyncio.wait(self._watchers, timeout=STOP_SECONDS)
        for process in self._watchers.values():
            kill_group(process)
        await asyncio.gather(*self._watchers)

    async def _start_worker(self) -> None:
        near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        near.setblocking(False)
        with contextlib.ExitStack() as on_failure:
            on_failure.callback(near.close)
            with far:
                process = await self._spawn(far.fileno())
            on_failure.callback(kill_group, process)
            await self._find_cards(near)
            on_failure.pop_all()
        self._channel, self._process = near, process
        # Not in the context of the task that happened to need it first.
        contextvars.Context().run(asyncio.get_running_loop().add_reader, near.fileno(), self._receive)

    async def _spawn(self, channel: int) -> asyncio.subprocess.Process:
        settings = to_json(self.parameters).decode()
        process = await spawn(
            module_command("encoder.codecs.nvenc.worker", str(channel), settings),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            pass_fds=(channel,),
        )
        watcher = asyncio.create_task(relay(process, "nvenc worker", log), context=contextvars.Context())
        self._watchers[watcher] = process
        watcher.add_done_callback(self._watchers.pop)
        return process

    async def _find_cards(self, near: socket.socket) -> None:
        """Take the cards of a worker's first message. Raises CodecFault where none can be used: the next request starts
        a worker anew."""
        try:
            async with asyncio.timeout(START_SECONDS):
                data = await asyncio.get_running_loop().sock_recv(near, MAX_MESSAGE_BYTES)
        except (OSError, TimeoutError):
            data = b""
        if not data:
            raise CodecFault(f"nvenc: {GONE}.", reason="CODEC_FAILED")
        report = from_json(CardReport, data)
        self._cards = report.cards
        if fault := report.fault or self.fault:
            raise CodecFault(f"nvenc: {fault}.", reason="CODEC_FAILED")

    def _receive(self) -> None:
        assert self._channel is not None
        try:
            data = self._channel.recv(MAX_MESSAGE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            log.warning("nvenc worker lost", sessions=len(self._pending))
            self._disconnect()
            return
        result = from_json(EncodeResult, data)
        future = self._pending.pop(result.number, None)
        if future is not None and not future.done():
            future.set_result(result)
        # The library forgets memory that it got before a session failed; it comes back with the process alone.
        self._is_spoiled |= result.outcome == DEVICE
        if self._is_spoiled and not self._pending:
            self._disconnect()

    def _disconnect(self) -> None:
        """Close the channel, which ends the worker, and fail every request."""
        if self._channel is not None:
            asyncio.get_running_loop().remove_reader(self._channel.fileno())
            self._channel.close()
        self._channel = self._process = None
        self._is_spoiled = False
        for number, future in self._pending.items():
            if not future.done():
                future.set_result(EncodeResult(number, DEVICE, 0, GONE))
        self._pending.clear()
