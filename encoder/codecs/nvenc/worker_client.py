"""The near side of the worker: starts it, sends it orders, tells how they ended, starts it anew when it is lost."""

import asyncio
import json
import socket
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, replace

import structlog

from encoder.codecs.base import CodecFault
from encoder.codecs.card import Card
from encoder.codecs.nvenc.parameters import Parameters
from encoder.codecs.nvenc.request import DEVICE, MAX_MESSAGE_BYTES, EncodeRequest, EncodeResult
from servicekit.process import kill_group, spawn

log = structlog.get_logger("encoder")

START_SECONDS = 60.0
STOP_SECONDS = 5.0
# A session needs a few frames to find that its pipes are closed.
STUCK_SECONDS = 5.0
GONE = "the process that speaks to the driver has ended; the card or its driver may be lost, see the encoder's log"


class WorkerClient:
    """One worker at a time, and the orders that it works at."""

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = parameters
        self._starting = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._channel: socket.socket | None = None
        self._pending: dict[int, asyncio.Future[EncodeResult]] = {}
        self._busy: Counter[int] = Counter()
        self._orders = 0
        self._spoiled = False
        self._watched: dict[asyncio.Task[None], asyncio.subprocess.Process] = {}
        self._cards: tuple[Card, ...] = ()

    @property
    def cards(self) -> tuple[Card, ...]:
        """The cards, as the last worker found them, with the sessions that are open now."""
        return tuple(replace(card, sessions=self._busy[number]) for number, card in enumerate(self._cards))

    async def start(self) -> None:
        """Have a worker; `cards` are known then. Raises CodecFault when it cannot start."""
        async with self._starting:
            if self._channel is None:
                await self._started()

    async def send(
        self, order: Callable[[int, int], EncodeRequest], frames: int, bitstream: int
    ) -> "asyncio.Future[EncodeResult]":
        """Give an order, made of its number and the card to use: that with the fewest sessions. The worker has its own
        copies of the file descriptors then. Raises CodecFault when there is no worker or no card."""
        await self.start()
        usable = [number for number, card in enumerate(self._cards) if not card.fault]
        self._orders += 1
        made = order(self._orders, min(usable, key=lambda card: self._busy[card]))
        future: asyncio.Future[EncodeResult] = asyncio.get_running_loop().create_future()
        assert self._channel is not None
        try:
            socket.send_fds(self._channel, [made.packed()], [frames, bitstream])
        except OSError as error:
            raise CodecFault(f"nvenc: {GONE}.", reason="CODEC_FAILED") from error
        self._pending[made.number] = future
        self._busy[made.gpu] += 1
        future.add_done_callback(lambda _: self._busy.subtract([made.gpu]))
        return future

    async def over(self, ended: "asyncio.Future[EncodeResult]") -> None:
        """Wait for the end of an order whose pipes are closed. A worker that does not come to it is killed."""
        await asyncio.wait([ended], timeout=STUCK_SECONDS)
        if not ended.done() and self._process is not None:
            log.warning("nvenc worker stuck", sessions=len(self._pending))
            kill_group(self._process)
        await asyncio.wait([ended])

    @property
    def fault(self) -> str:
        """Why no card can be used; "" when one can."""
        if any(not card.fault for card in self._cards):
            return ""
        return "; ".join(f"{card.name}: {card.fault}" for card in self._cards) or "no card was found"

    async def close(self) -> None:
        """End the worker, and those before it that still take their leave."""
        self._let_go()
        if self._watched:
            await asyncio.wait(self._watched, timeout=STOP_SECONDS)
        for process in self._watched.values():
            kill_group(process)
        await asyncio.gather(*self._watched)

    async def _started(self) -> None:
        near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        near.setblocking(False)
        try:
            with far:
                process = await self._spawned(far.fileno())
            try:
                self._met(await self._first_words(near, process))
            except BaseException:
                kill_group(process)
                raise
        except BaseException:
            near.close()
            raise
        self._channel, self._process = near, process
        asyncio.get_running_loop().add_reader(near.fileno(), self._receive)

    async def _spawned(self, channel: int) -> asyncio.subprocess.Process:
        settings = json.dumps(asdict(self.parameters))
        process = await spawn(
            (sys.executable, "-m", "encoder.codecs.nvenc.worker", str(channel), settings),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            pass_fds=(channel,),
        )
        watching = asyncio.create_task(_told(process))
        self._watched[watching] = process
        watching.add_done_callback(self._watched.pop)
        return process

    async def _first_words(self, near: socket.socket, process: asyncio.subprocess.Process) -> bytes:
        try:
            async with asyncio.timeout(START_SECONDS):
                data = await asyncio.get_running_loop().sock_recv(near, MAX_MESSAGE_BYTES)
        except (OSError, TimeoutError):
            data = b""
        if not data:
            kill_group(process)
            await process.wait()
            raise CodecFault(f"nvenc: {GONE}.", reason="CODEC_FAILED")
        return data

    def _met(self, data: bytes) -> None:
        """Know the cards that a new worker tells of. Raises CodecFault where none is of use: the next order finds out
        anew."""
        said = json.loads(data)
        self._cards = tuple(Card.unpacked(card) for card in said["cards"])
        if fault := said["fault"] or self.fault:
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
            self._let_go()
            return
        ended = EncodeResult(**json.loads(data))
        future = self._pending.pop(ended.number, None)
        if future is not None and not future.done():
            future.set_result(ended)
        # The library forgets memory that it got before a session failed; it comes back with the process alone.
        self._spoiled |= ended.how == DEVICE
        if self._spoiled and not self._pending:
            self._let_go()

    def _let_go(self) -> None:
        """There is no worker any more: it ends with its channel, and every order has ended."""
        if self._channel is not None:
            asyncio.get_running_loop().remove_reader(self._channel.fileno())
            self._channel.close()
        self._channel = self._process = None
        self._spoiled = False
        for number, future in self._pending.items():
            if not future.done():
                future.set_result(EncodeResult(number, DEVICE, 0, GONE))
        self._pending.clear()


async def _told(process: asyncio.subprocess.Process) -> None:
    """Pass on what the worker and the libraries in it say, and take its remains."""
    assert process.stderr is not None
    async for line in process.stderr:
        log.warning("nvenc worker", says=line.decode(errors="replace").strip())
    await process.wait()
