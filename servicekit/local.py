"""Calls of a process to its own gRPC services, without a socket: the same handlers, behind the same interceptors.

LocalChannel and its calls are what they are in grpc.aio, as far as the JSON proxy needs them. Messages are passed on as
they are, so whoever called must leave them alone.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import grpc

from servicekit.tasks import cancel_and_wait

EOF = grpc.aio.EOF
Pairs = tuple[tuple[str, str | bytes], ...]
# Whose calls they are, as gRPC names peers.
PEER = "unix:local"


@dataclass(frozen=True)
class CallDetails:
    """Implements grpc.HandlerCallDetails."""

    method: str
    invocation_metadata: Pairs


class LocalServer:
    """The methods of a server for callers in its own process. Generated code adds services to it as to the other."""

    def __init__(self, interceptors: Sequence[grpc.aio.ServerInterceptor]) -> None:
        self._interceptors = list(interceptors)
        self._handlers: dict[str, Any] = {}
        self.running: set[asyncio.Task[None]] = set()
        self.is_closed = False

    def add_registered_method_handlers(self, service_name: str, method_handlers: Mapping[str, Any]) -> None:
        """Serve the methods of a service."""
        self._handlers |= {f"/{service_name}/{name}": handler for name, handler in method_handlers.items()}

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Iterable[Any]) -> None:
        """Do nothing: generated code adds the same methods as registered ones too."""

    async def handler(self, details: CallDetails) -> Any:
        """Return the method's handler, wrapped by the interceptors."""
        continuation: Any = self._find
        for interceptor in reversed(self._interceptors):
            continuation = partial(interceptor.intercept_service, continuation)
        return await continuation(details)

    async def close(self) -> None:
        """End the calls that are open still, with UNAVAILABLE, and wait for their ends."""
        self.is_closed = True
        await cancel_and_wait(*self.running)

    async def _find(self, details: CallDetails) -> Any:
        return self._handlers.get(details.method)


@dataclass(frozen=True)
class LocalChannel:
    """Calls methods of a LocalServer."""

    server: LocalServer

    def unary_unary(self, method: str, *_: Any, **__: Any) -> Callable[..., "LocalCall"]:
        """Return what calls a method; its messages need no serializers."""
        return partial(LocalCall, self.server, method)

    unary_stream = stream_unary = stream_stream = unary_unary


@dataclass
class LocalContext:
    """Implements what handlers and interceptors use of grpc.aio.ServicerContext."""

    metadata: Pairs
    deadline: float | None
    # The request of a call that has one, then EOF; None where they come through the queue.
    request: Any
    requests: "asyncio.Queue[Any]" = field(default_factory=lambda: asyncio.Queue(1))
    responses: "asyncio.Queue[Any]" = field(default_factory=lambda: asyncio.Queue(1))
    initial: Pairs | None = None
    trailing: Pairs = ()
    has_initial: asyncio.Event = field(default_factory=asyncio.Event)
    is_done: bool = False
    _code: grpc.StatusCode | None = None
    _details: str = ""

    def invocation_metadata(self) -> Pairs:
        return self.metadata

    def peer(self) -> str:
        return PEER

    def auth_context(self) -> Mapping[str, Iterable[bytes]]:
        return {}

    def time_remaining(self) -> float | None:
        """Return the seconds until the caller's deadline; None without one."""
        return None if self.deadline is None else max(0.0, self.deadline - asyncio.get_running_loop().time())

    async def read(self) -> Any:
        """Return the next request; EOF after the last one."""
        if self.request is not None:
            request, self.request = self.request, EOF
            return request
        request = await self.requests.get()
        if request is EOF:
            self.requests.put_nowait(EOF)  # for who reads again
        return request

    async def write(self, message: Any) -> None:
        """Send a response, once the one before was read."""
        await self.send_initial_metadata(())
        await self.responses.put(message)

    async def send_initial_metadata(self, initial_metadata: Iterable[tuple[str, str | bytes]]) -> None:
        """Send metadata before the first response; it is sent once."""
        if self.initial is None:
            self.initial = tuple(initial_metadata)
            self.has_initial.set()

    def set_trailing_metadata(self, trailing_metadata: Iterable[tuple[str, str | bytes]]) -> None:
        self.trailing = tuple(trailing_metadata)

    def trailing_metadata(self) -> Pairs:
        return self.trailing

    async def abort(
        self, code: grpc.StatusCode, details: str = "", trailing_metadata: Iterable[tuple[str, str | bytes]] = ()
    ) -> None:
        """End the call with this status. Raises AbortError."""
        self._code, self._details = code, details
        self.trailing = tuple(trailing_metadata) or self.trailing
        raise grpc.aio.AbortError("Locally aborted.")

    def code(self) -> grpc.StatusCode | None:
        return self._code

    def details(self) -> str:
        return self._details

    def end(self, code: grpc.StatusCode, details: str = "") -> None:
        """Note the status of a call that has ended, unless it was aborted, and wake whoever waits for more of it."""
        self._code = self._code or code
        self._details = self._details or details
        self.is_done = True
        self.has_initial.set()
        if not self.requests.empty():
            self.requests.get_nowait()
        if self.responses.empty():
            self.responses.put_nowait(EOF)

    def cancelled(self) -> bool:
        return self._code is grpc.StatusCode.CANCELLED

    def done(self) -> bool:
        return self.is_done


class LocalCall:
    """A call in progress, of any of the four kinds, as its caller sees it."""

    def __init__(
        self,
        server: LocalServer,
        method: str,
        request: Any = None,
        *,
        metadata: Iterable[tuple[str, str | bytes]] = (),
        timeout: float | None = None,
    ) -> None:
        """Begin the call, with its only request unless it is a stream of them."""
        deadline = None if timeout is None else asyncio.get_running_loop().time() + timeout
        details = CallDetails(method, tuple(metadata))
        self._context = LocalContext(details.invocation_metadata, deadline, request)
        self._response: Any = None
        self._task = asyncio.create_task(self._run(server, details))
        server.running.add(self._task)
        self._task.add_done_callback(server.running.discard)

    async def _run(self, server: LocalServer, details: CallDetails) -> None:
        context = self._context
        try:
            async with asyncio.timeout_at(context.deadline):
                await self._invoke(await server.handler(details))
            context.end(grpc.StatusCode.OK)
        except TimeoutError:
            context.end(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")
        except asyncio.CancelledError:
            if server.is_closed:
                context.end(grpc.StatusCode.UNAVAILABLE, "The service is shutting down.")
            else:
                context.end(grpc.StatusCode.CANCELLED, "Locally cancelled by application!")
        except Exception:  # aborted; the error boundary lets nothing else through
            context.end(grpc.StatusCode.UNKNOWN)

    async def _invoke(self, handler: Any) -> None:
        context = self._context
        request = _each(context) if handler.request_streaming else await context.read()
        if not handler.response_streaming:
            behavior = handler.stream_unary if handler.request_streaming else handler.unary_unary
            self._response = await behavior(request, context)
            return
        behavior = handler.stream_stream if handler.request_streaming else handler.unary_stream
        result = behavior(request, context)
        if hasattr(result, "__aiter__"):
            async for message in result:
                await context.write(message)
        else:
            await result

    def __await__(self) -> Generator[Any, None, Any]:
        """Return the response of a call that has one. Raises AioRpcError."""
        return self._result().__await__()

    async def _result(self) -> Any:
        await self._ended()
        self._check()
        return self._response

    async def _ended(self) -> None:
        try:
            if not self._task.done():
                await asyncio.wait({self._task})
        except asyncio.CancelledError:
            self.cancel()  # as in grpc.aio: whoever awaits a call and is cancelled ends it
            raise

    async def read(self) -> Any:
        """Return the next response; EOF after the last one. Raises AioRpcError for a call that failed."""
        context = self._context
        message = EOF if context.is_done and context.responses.empty() else await context.responses.get()
        if message is EOF:
            await self._ended()
            self._check()
        return message

    async def write(self, request: Any) -> None:
        """Send a request, once the one before was read. Raises InvalidStateError once the call has ended."""
        if not self._context.is_done:
            await self._context.requests.put(request)
        if self._context.is_done:
            raise asyncio.InvalidStateError("The call has ended.")

    async def done_writing(self) -> None:
        """End the stream of requests."""
        await self.write(EOF)

    async def initial_metadata(self) -> Pairs:
        """Return the metadata that was sent before the first response; nothing of a call that ended without."""
        await self._context.has_initial.wait()
        return self._context.initial or ()

    async def trailing_metadata(self) -> Pairs:
        """Return the metadata of the end of the call."""
        await self._ended()
        return self._context.trailing

    def cancel(self) -> bool:
        """Cancel the call; return False if it has ended."""
        return self._task.cancel()

    def _check(self) -> None:
        context = self._context
        code = context.code() or grpc.StatusCode.UNKNOWN
        if code is not grpc.StatusCode.OK:
            initial, trailing = grpc.aio.Metadata(*(context.initial or ())), grpc.aio.Metadata(*context.trailing)
            raise grpc.aio.AioRpcError(code, initial, trailing, context.details())


async def _each(context: LocalContext) -> AsyncIterator[Any]:
    while (request := await context.read()) is not EOF:
        yield request
