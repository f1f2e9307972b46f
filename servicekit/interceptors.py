"""The outermost interceptor of both services, for all four kinds of call: request id, deadline, errors, access log.

It alone turns exceptions into statuses. Text of an exception that is not a ServiceError never reaches a caller.
"""

import asyncio
import functools
import re
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractContextManager, AsyncExitStack, aclosing, asynccontextmanager, nullcontext
from typing import Any

import grpc
import structlog
from google.protobuf.message import DecodeError

from servicekit import chunk_messages, log_context, tracing
from servicekit.errors import (
    DETAILS_KEY,
    DeadlineExceeded,
    Internal,
    InvalidArgument,
    ServiceError,
    Unimplemented,
)
from servicekit.metrics import count_call

log = structlog.get_logger("servicekit.rpc")

Context = grpc.aio.ServicerContext[Any, Any]
Around = Callable[[str, Context], Any]
REQUEST_ID = "x-request-id"
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")
NO_SUCH_METHOD = "NO_SUCH_METHOD"
# What calls of methods that there are not are counted as: callers name them.
NO_METHOD = "unknown/unknown"
# What gateways ask their encoders every few seconds, which is told only where it fails.
POLLED = ("/apigpu.encoder.v1.EncoderService/GetCapabilities",)
# Services of monitors, which call all the time and watch for as long as they like: no deadline, no access log.
QUIET = ("/grpc.health.v1.", "/externalscaler.")


class AroundCall(grpc.aio.ServerInterceptor):
    """Interceptor that runs calls of all four kinds inside the async context manager `around(method, context)`."""

    def __init__(self, around: Around, *, is_outermost: bool = False) -> None:
        """Wrap calls in `around`; the outermost one also answers calls of methods that do not exist."""
        self._around = around
        self._is_outermost = is_outermost

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Wrap the handler; an unknown method has none."""
        method = handler_call_details.method
        handler = await continuation(handler_call_details)
        if handler is None and self._is_outermost:
            # gRPC itself would answer without a reason.
            handler = grpc.stream_stream_rpc_method_handler(functools.partial(_refuse_unknown, method))
        return _wrap(handler, functools.partial(self._around, method)) if handler else handler


async def _refuse_unknown(method: str, requests: Any, context: Context) -> None:
    raise Unimplemented(f"There is no method {method[:200]}.", reason=NO_SUCH_METHOD)


def _wrap(handler: Any, around: Callable[[Context], Any]) -> Any:
    """Return a handler that runs inside `around`, which may yield another stream of requests.

    It always takes a stream: gRPC would await a single request before the handler begins, and so before any check of
    key, slots and deadline. On the wire both are the same. Messages are parsed in here too: gRPC itself would answer
    one that cannot be parsed as if the service had failed.
    """
    behavior, parse = _streaming(handler), chunk_messages.reader(handler)
    read = functools.partial(ParsedRequests, parse) if parse else _as_it_is
    serialize = handler.response_serializer

    async def unary(requests: Any, context: Context) -> Any:
        async with around(context) as paced:
            return await behavior(read(paced or requests), context)

    async def stream(requests: Any, context: Context) -> None:
        async with around(context) as paced:
            await _write(behavior(read(paced or requests), context), context)

    kind = "stream_stream" if handler.response_streaming else "stream_unary"
    return getattr(grpc, f"{kind}_rpc_method_handler")(
        stream if handler.response_streaming else unary,
        request_deserializer=None,
        response_serializer=serialize and chunk_messages.encoder(serialize),
    )


def _as_it_is(request: Any) -> Any:
    return request


class ParsedRequests:
    """The messages of a call, each parsed when it is asked for.

    No generator: one that is left after the only message of a call would cost a task to end it.
    """

    def __init__(self, parse: Callable[[Any], Any], requests: Any) -> None:
        self._parse = parse
        self._requests = requests
        self._messages: Any = None

    def __aiter__(self) -> "ParsedRequests":
        return self

    async def __anext__(self) -> Any:
        """Return the next message. Raises InvalidArgument."""
        if self._messages is None:  # gRPC's own is a generator, which must not be left without a start
            self._messages = aiter(self._requests)
        received = await anext(self._messages)
        try:
            return self._parse(received)
        except DecodeError as error:
            text = "The message is no message of this method; generate the client from this version's protos."
            raise InvalidArgument(text, reason="BAD_MESSAGE") from error


def _streaming(handler: Any) -> Callable[[Any, Context], Any]:
    """Return the handler's behavior as a function of a stream of requests."""
    if handler.request_streaming:
        return handler.stream_stream or handler.stream_unary  # type: ignore[no-any-return]

    async def unary(requests: Any, context: Context) -> Any:
        return await handler.unary_unary(await _only(requests, context), context)

    async def stream(requests: Any, context: Context) -> None:
        await _write(handler.unary_stream(await _only(requests, context), context), context)

    return stream if handler.response_streaming else unary


async def _only(requests: Any, context: Context) -> Any:
    async for request in requests:
        return request
    if context.cancelled():
        raise asyncio.CancelledError
    raise InvalidArgument("The call ended without a message.", reason="NO_MESSAGE")


async def _write(result: Any, context: Context) -> None:
    if not hasattr(result, "aclose"):
        await result  # the handler writes to the context itself
        return
    # A generator abandoned at a `yield` would hold its resources until it is garbage-collected.
    async with aclosing(result):
        async for message in result:
            await context.write(message)


def error_boundary(max_call_seconds: float) -> AroundCall:
    """Return the outermost interceptor. It ends every call after `max_call_seconds`, except those of monitors."""

    @asynccontextmanager
    async def around(method: str, context: Context) -> AsyncIterator[None]:
        started = time.monotonic()
        call_id = request_id(context)
        context.set_trailing_metadata(((REQUEST_ID, call_id),))
        code, name = "OK", method
        with log_context.about(request_id=call_id), _traced(method, context):
            try:
                async with AsyncExitStack() as stack:
                    if not method.startswith(QUIET):
                        await stack.enter_async_context(asyncio.timeout(max_call_seconds))
                    yield
            except ServiceError as error:
                code, name = error.code.name, NO_METHOD if error.reason == NO_SUCH_METHOD else method
                await abort(context, error, call_id)
            except TimeoutError:
                code = "DEADLINE_EXCEEDED"
                text = f"The call took longer than {max_call_seconds:g} s."
                await abort(context, DeadlineExceeded(text, reason="CALL_TIMEOUT"), call_id)
            except asyncio.CancelledError:
                code = "CANCELLED"
                raise
            except grpc.aio.AbortError:
                code = context.code().name
                raise
            except Exception:
                code = "INTERNAL"
                log.exception("unexpected error", method=method)
                message = f"Something went wrong inside the service; its log has more under request id {call_id}."
                await abort(context, Internal(message, reason="UNEXPECTED"), call_id)
            finally:
                if not method.startswith(QUIET):
                    seconds = time.monotonic() - started
                    count_call(name, code, seconds)
                    tell = log.debug if method in POLLED and code == "OK" else log.info
                    tell("call", method=method, code=code, milliseconds=round(seconds * 1000, 1), peer=context.peer())

    return AroundCall(around, is_outermost=True)


def _traced(method: str, context: Context) -> AbstractContextManager[object]:
    """Have a call be a span, but for those of monitors, and looks at encoders."""
    if method.startswith(QUIET) or method in POLLED:
        return nullcontext()
    return tracing.border(method.lstrip("/"), metadata(context).get(tracing.HEADER, ""))


def request_id(context: Context) -> str:
    """Return the id that the caller gave its call, else a new one."""
    return valid_request_id(metadata(context).get(REQUEST_ID, ""))


def valid_request_id(given: str) -> str:
    """Return an id that a caller gave if it can stand in logs and records, else a new one."""
    return given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)


async def abort(context: Context, error: ServiceError, request_id: str) -> None:
    """End the call with the error's code, message and google.rpc details."""
    trailing = ((REQUEST_ID, request_id), (DETAILS_KEY, error.to_status().SerializeToString()))
    await context.abort(error.code, error.message, trailing)


def metadata(context: Context) -> dict[str, str]:
    """Return the text entries of a call's metadata; of a repeated key, the last value."""
    pairs: Iterable[tuple[str, str | bytes]] = context.invocation_metadata() or ()
    return {key: value for key, value in pairs if isinstance(value, str)}
