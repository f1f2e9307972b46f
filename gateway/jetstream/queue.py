"""A work queue: each message is held by one worker at a time, and redelivered when that one falls silent."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig
from nats.js.errors import APIError

from gateway.jetstream.errors import nats_errors
from gateway.jetstream.held import HeldDeliveries
from servicekit.backoff import Backoff
from servicekit.errors import ServiceError, Unavailable
from servicekit.tasks import cancel_and_wait

log = structlog.get_logger("gateway.jetstream")

# The lane that every queue has.
MAIN = ""
# Between two looks at lanes that have nothing: another gateway may put something, or return it.
POLLS = Backoff(first_seconds=0.005, max_seconds=0.5)
# Looks that are left out where nothing is expected.
CALM_ROUNDS = 4
# Where a message that was announced may be of several lanes, these are looked at so much later, unless it is put here
# meanwhile.
EXPECT_SECONDS = 0.004
RETRY_SECONDS = 0.5
TAKE_SECONDS = 5.0
# A lane that has not answered within that is asked beside the others.
ANSWER_SECONDS = 0.25
# Beside what is looked for there may be as many others in a lane, and some more: where another worker has what is
# wanted, all of the lane would else be held here.
LOOKED_BESIDE = 16
# At the end, for what was asked for: what comes once nobody takes it any more comes to others only much later.
LAST_ANSWER_SECONDS = 1.0
NO_WAIT = b'{"batch":1,"no_wait":true}'
# The server forgets the consumer of a lane that nobody has asked for so long; its messages stay.
LANE_IDLE_SECONDS = 86_400.0
# JetStream has one error code for whatever keeps a message from being stored; its text tells a full subject from a
# full disk.
NOT_STORED = 10077
FULL_SUBJECT = "maximum messages per subject exceeded"

Lanes = Callable[[], Sequence[str]]


@dataclass(eq=False)
class Delivery:
    """A message that this worker holds. It must be acknowledged or returned."""

    message: Msg
    key: str
    heartbeat_seconds: float
    lane: str = MAIN

    @property
    def count(self) -> int:
        """How often the message was delivered, this time included."""
        return int(self.message.metadata.num_delivered)

    @property
    def queued_at(self) -> float:
        """When the message was put into the queue, Unix seconds."""
        return float(self.message.metadata.timestamp.timestamp())

    @property
    def sequence(self) -> int:
        """Its place in the stream."""
        return int(self.message.metadata.sequence.stream)

    async def ack(self) -> None:
        """Acknowledge the message, confirmed by the server: it is gone for good. A second time does nothing."""
        if self.message.is_acked:
            return
        with nats_errors():
            await self.message.ack_sync()

    async def give_back(self, delay_seconds: float = 0) -> None:
        """Return the message to the queue, which redelivers it after a delay; nothing once it is acknowledged."""
        if self.message.is_acked:
            return
        with nats_errors():
            await self.message.nak(delay=delay_seconds or None)

    @contextlib.asynccontextmanager
    async def keep_alive(self) -> AsyncIterator[None]:
        """Send heartbeats while the block runs, which keep the message from being redelivered."""
        heartbeats = asyncio.create_task(self._send_heartbeats())
        try:
            yield
        finally:
            heartbeats.cancel()

    async def keep(self) -> None:
        """Send a heartbeat."""
        with nats_errors():
            await self.message.in_progress()

    async def _send_heartbeats(self) -> None:
        while True:
            await asyncio.sleep(self.heartbeat_seconds)
            try:
                await self.keep()
            except ServiceError as error:
                log.warning("cannot send a heartbeat for a message", key=self.key, error=str(error.__cause__))


def workers_of(name: str, ack_wait_seconds: float, lane: str = "") -> ConsumerConfig:
    """Return the consumer of a queue whose messages its workers share, or of a lane of it."""
    return ConsumerConfig(
        durable_name=lane.replace(".", "-") or f"{name}-workers",
        filter_subject=f"{name}.{lane}.>" if lane else f"{name}.>",
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=ack_wait_seconds,
        # Attempts are counted in the job's record, so no message is ever stranded by the server's own limit.
        max_deliver=-1,
        max_ack_pending=10_000,
        inactive_threshold=LANE_IDLE_SECONDS if lane else None,
    )


@dataclass(eq=False)
class WorkQueue:
    """A queue of keys, each in it once at most. Beside the main lane (""), in the stream NAME, it may have any number
    of others, "a.b", in the stream NAME_LANES: each is a queue of its own, and which one is asked first is up to the
    worker."""

    stream: JetStreamContext
    client: Client
    name: str
    ack_wait_seconds: float
    # Set by each write that the server does not confirm.
    write_failed: asyncio.Event = field(default_factory=asyncio.Event)
    # Set where there may be something to take.
    filled: asyncio.Event = field(default_factory=asyncio.Event)
    polls: Backoff = POLLS
    # A message that was announced is waited for at the server, where it can only come from one lane: so long at most.
    await_seconds: float = 0.02
    # What is looked for behind a message may be on its way into the queue: so long at most, for the next one of those,
    # and for all. Nothing else is taken meanwhile, and what is held goes back in the end.
    exchange_seconds: float = 0.5
    all_exchange_seconds: float = 1.0
    _expecting: asyncio.TimerHandle | None = field(default=None, init=False)
    _is_expected: bool = field(default=False, init=False)
    # Lists of messages that are being put.
    _putting: int = field(default=0, init=False)
    # What was asked of lanes that have not answered yet.
    _asked: "dict[str, list[asyncio.Task[Delivery | None]]]" = field(default_factory=dict, init=False)
    # Lanes whose next message somebody waits for, and messages on their way back that nobody did.
    _wanted: Sequence[str] = field(default=(), init=False)
    _returning: set[asyncio.Task[None]] = field(default_factory=set, init=False)
    # Lanes that have a consumer.
    _opened: set[str] = field(default_factory=lambda: {MAIN}, init=False)

    def __post_init__(self) -> None:
        self.held: HeldDeliveries[Delivery] = HeldDeliveries(self.ack_wait_seconds / 3)

    async def put(self, key: str, lane: str = MAIN) -> bool:
        """Queue `key`; on return it is on disk. Return False if it is queued already. Raise Unavailable."""
        try:
            with nats_errors():
                await self.stream.publish(f"{self._prefix(lane)}{key}", b"")
        except Unavailable as error:
            if _is_queued_already(error.__cause__):
                return False
            self.write_failed.set()
            raise
        self._expect_no_more()
        self.filled.set()
        await asyncio.sleep(0)  # who waits for it asks for it now, and not once its caller has been answered
        return True

    async def put_all(self, keys: Sequence[str], lane: str = MAIN) -> int:
        """Queue keys in their order, as `put` does; return how many were queued."""
        put = 0
        self._putting += 1
        try:
            # Not many at once: the server writes each to disk, and workers ask for the first meanwhile.
            for key in keys:
                put += await self.put(key, lane)
        finally:
            self._putting -= 1
        return put

    def expect(self) -> None:
        """Look for a message: one is about to be put, here or by another gateway."""
        if len(self._wanted) == 1:
            self._look()
        elif self._expecting is None:
            self._expecting = asyncio.get_running_loop().call_later(EXPECT_SECONDS, self._look)

    def _look(self) -> None:
        self._expect_no_more()
        self._is_expected = True
        self.filled.set()

    def _expect_no_more(self) -> None:
        if self._expecting is not None:
            self._expecting.cancel()
            self._expecting = None

    async def keys(self) -> set[str]:
        """Return the keys that are queued or held, in whichever lane; 100,000 of a stream at most."""
        found: set[str] = set()
        for name, is_lane in ((self.name, False), (f"{self.name}_lanes", True)):
            with nats_errors():
                stream = await self.stream.stream_info(name.upper(), subjects_filter=f"{name}.>")
            subjects = (subject.removeprefix(f"{name}.") for subject in stream.state.subjects or ())
            found |= {subject.split(".", 2)[2] if is_lane else subject for subject in subjects}
        return found

    async def next(self, lanes: Lanes = lambda: (MAIN,)) -> Delivery:
        """Wait for the next message, and through errors of the server: that of the first of `lanes` that has one."""
        rounds = CALM_ROUNDS
        try:
            while True:
                self.filled.clear()
                self._want(lanes())
                awaits, self._is_expected = self._is_expected and len(self._wanted) == 1, False
                for lane in self._wanted:
                    if (delivery := self.held.first(lane) or await self._take_soon(lane, awaits=awaits)) is not None:
                        return delivery
                rounds += 1
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self.polls.pause_seconds(rounds)):
                        await self.filled.wait()
                        rounds = 0 if self._is_expected else CALM_ROUNDS
        finally:
            self._want(())

    async def exchange(self, delivery: Delivery, keys: Sequence[str]) -> Delivery:
        """Hold a message, and those behind it up to the first of `keys`, and return that; where it is not there, and
        not being put here, the first of `keys` that is held. The message's own is among them, and so is what may stand
        between the two: not many more are looked at."""
        lane, self._wanted = delivery.lane, (delivery.lane,)
        self.held.put(delivery)
        found: Delivery | None = None
        most, time = 2 * len(keys) + LOOKED_BESIDE, asyncio.get_running_loop().time
        ends_at = time() + self.all_exchange_seconds
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.exchange_seconds) as limit:
                    while (found := self.held.take(lane, keys[0])) is None and most and self.held.has_room:
                        self.filled.clear()
                        if (behind := await self._take_soon(lane)) is not None:
                            self.held.put(behind)
                            most -= 1
                            limit.reschedule(min(time() + self.exchange_seconds, ends_at))
                        elif self._putting:
                            await self.filled.wait()
                        else:
                            break
        finally:
            self._want(())
        taken = (self.held.take(lane, key) for key in keys)
        return found or next((one for one in taken if one is not None), delivery)

    async def _take_soon(self, lane: str, *, awaits: bool = False) -> Delivery | None:
        """Return the next message of a lane, if it comes at once, or where it is awaited, in a moment. What comes later
        is returned the next time: a lane whose part of the server does not answer holds up no other."""
        asked = self._asked.setdefault(lane, [])
        is_late = bool(asked)
        if not is_late:
            asked.append(asyncio.create_task(self._take(lane, self._awaiting() if awaits else NO_WAIT)))
        asking = asked[-1]
        try:
            await asyncio.wait([asking], timeout=0 if is_late else ANSWER_SECONDS)
        finally:
            if not is_late and not asking.done():
                asking.add_done_callback(lambda _: self._answered(lane))
        if not asking.done() or asking not in asked:
            return None
        asked.remove(asking)
        return asking.result()

    def _answered(self, lane: str) -> None:
        if lane in self._wanted:
            self.filled.set()
        else:
            self._return_unwanted()

    def _want(self, lanes: Sequence[str]) -> None:
        """Wait for messages of these lanes from now on."""
        self._wanted = lanes
        self._return_unwanted()

    def _return_unwanted(self) -> None:
        """Return the messages that came of lanes nobody waits for. Kept without heartbeats, they would come to another
        worker too; kept with them, to nobody."""
        for lane in self._asked.keys() - set(self._wanted):
            for asking in [asking for asking in self._asked[lane] if asking.done()]:
                self._asked[lane].remove(asking)
                returning = asyncio.create_task(_return(asking))
                self._returning.add(returning)
                returning.add_done_callback(self._returning.discard)

    async def _take(self, lane: str, how: bytes) -> Delivery | None:
        """Return the next message of a lane, if there is one to have now, or in a moment."""
        try:
            with nats_errors():
                workers = workers_of(self._name(lane), self.ack_wait_seconds, lane)
                stream = self._name(lane).upper()
                if lane not in self._opened:
                    await self.stream.add_consumer(stream, workers)
                    self._opened.add(lane)
                asked = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{workers.durable_name}"
                # With an inbox of its own: the client knows other answers by their subject, which is here the key.
                message = await self.client.request(asked, how, timeout=TAKE_SECONDS, old_style=True)
        except Unavailable as error:
            cause = error.__cause__
            self._opened &= {MAIN}  # the server may have ended a consumer that nobody asked for long
            log.warning("cannot read the queue; trying again", error=str(cause) or type(cause).__name__)
            await asyncio.sleep(RETRY_SECONDS)
            return None
        if message.headers and "Status" in message.headers:  # there is none
            return None
        key = message.subject.removeprefix(self._prefix(lane))
        return Delivery(message, key, self.ack_wait_seconds / 3, lane)

    async def stop(self) -> None:
        """Ask for nothing any more; what came and was not taken is returned."""
        self._expect_no_more()
        asked = [task for tasks in self._asked.values() for task in tasks]
        self._asked.clear()
        if asked:
            await asyncio.wait(asked, timeout=LAST_ANSWER_SECONDS)
        await cancel_and_wait(*asked)
        await asyncio.gather(*map(_return, asked), *self._returning)
        await self.held.stop()

    def _awaiting(self) -> bytes:
        return f'{{"batch":1,"expires":{round(self.await_seconds * 1e9)}}}'.encode()

    def _name(self, lane: str) -> str:
        return f"{self.name}_lanes" if lane else self.name

    def _prefix(self, lane: str) -> str:
        return f"{self._name(lane)}.{lane}." if lane else f"{self.name}."


async def _return(asked: "asyncio.Task[Delivery | None]") -> None:
    """Return to the queue what came of it, if something did; where that fails, it comes again by itself."""
    if not asked.cancelled() and asked.exception() is None and (delivery := asked.result()) is not None:
        with contextlib.suppress(ServiceError):
            await delivery.give_back()


def _is_queued_already(error: BaseException | None) -> bool:
    return isinstance(error, APIError) and (error.err_code, error.description) == (NOT_STORED, FULL_SUBJECT)
