"""Server interceptors for all four kinds of call.

Each wraps the handler's behaviour once (``wrap_handler``), so that a stream is iterated inside the ``try``: what goes
wrong in its middle is translated like what goes wrong at its start.
"""

from __future__ import annotations

import asyncio
import hmac
import inspect
import secrets
from abc import abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from types import TracebackType
from typing import Any, TypeAlias, cast

import grpc
import structlog
from grpc.aio import AbortError, ServerInterceptor, ServicerContext
from grpc_status import rpc_status

from rpc.errors import DomainError
from rpc.status import to_status

logger = structlog.get_logger()

# Health checks and reflection need no token: load balancers and grpcurl ask before they have one.
OPEN_SERVICES = ("/grpc.health.v1.", "/grpc.reflection.")

# The stubs' types are generic, the classes at run time are not: hence the quotes.
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Context: TypeAlias = "ServicerContext[Any, Any]"
Continuation: TypeAlias = "Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]]"
Around: TypeAlias = "Callable[[Context], AbstractAsyncContextManager[None]]"

Explain: TypeAlias = "Callable[[Exception], DomainError | None]"


def wrap_handler(handler: Handler, around: Around) -> Handler:
    """Give the same handler with each call run inside ``async with around(context)``."""
    # The types of a handler's behaviours are those of the blocking API; in grpc.aio they are coroutines.
    unary: Any = handler.unary_unary or handler.stream_unary
    if unary is not None:

        async def answer(request: Any, context: Context) -> Any:
            async with around(context):
                return await unary(request, context)

        make: Any = (
            grpc.stream_unary_rpc_method_handler if handler.stream_unary else grpc.unary_unary_rpc_method_handler
        )
        return cast(Handler, make(answer, handler.request_deserializer, handler.response_serializer))

    stream: Any = handler.unary_stream or handler.stream_stream
    make = grpc.stream_stream_rpc_method_handler if handler.stream_stream else grpc.unary_stream_rpc_method_handler
    if inspect.iscoroutinefunction(stream):  # it writes its answers itself

        async def write(request: Any, context: Context) -> None:
            async with around(context):
                await stream(request, context)

        return cast(Handler, make(write, handler.request_deserializer, handler.response_serializer))

    async def answers(request: Any, context: Context) -> AsyncIterator[Any]:
        async with around(context):
            async for item in stream(request, context):
                yield item

    return cast(Handler, make(answers, handler.request_deserializer, handler.response_serializer))


class AroundInterceptor(ServerInterceptor):
    """Runs every call, but those of open services, inside ``around``. A method's handler is wrapped once."""

    def __init__(self) -> None:
        self._wrapped: dict[str, tuple[Handler, Handler]] = {}

    @abstractmethod
    def around(self, method: str, context: Context) -> AbstractAsyncContextManager[None]:
        """What a call runs inside of; it may refuse the call by raising when it is entered."""

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler | None:
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or method.startswith(OPEN_SERVICES):
            return handler
        inner, wrapped = self._wrapped.get(method, (None, None))
        if wrapped is None or inner is not handler:
            wrapped = wrap_handler(handler, partial(self.around, method))
            self._wrapped[method] = handler, wrapped
        return wrapped


class ErrorInterceptor(AroundInterceptor):
    """Gives each call a request id, logs how it ended, and turns exceptions into rich statuses.

    A ``DomainError`` becomes its status. Anything unexpected becomes INTERNAL with the request id; its text goes to
    the log and never to the client. The request id travels back in the trailing metadata ``x-request-id``.
    """

    def __init__(self, explain: Explain = lambda error: None) -> None:
        """``explain`` gives the DomainError of an exception that is no bug, for example an outage, or None."""
        super().__init__()
        self._explain = explain

    def around(self, method: str, context: Context) -> AbstractAsyncContextManager[None]:
        return _Translated(method, context, self._explain)


class _Translated:
    """Inside it an exception ends the call with its status. Every call passes here: no generator, for its cost."""

    __slots__ = ("_context", "_explain", "_method", "_request_id")

    def __init__(self, method: str, context: Context, explain: Explain) -> None:
        self._method = method
        self._context = context
        self._explain = explain
        self._request_id = secrets.token_hex(8)

    async def __aenter__(self) -> None:
        self._context.set_trailing_metadata((("x-request-id", self._request_id),))
        # A call has a task, and so a context, of its own: nothing to take back at its end.
        structlog.contextvars.bind_contextvars(request_id=self._request_id, method=self._method)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None or isinstance(error, AbortError | asyncio.CancelledError | GeneratorExit):
            return
        if isinstance(error, DomainError):
            logger.info("call refused", reason=error.reason, message=error.message)
            await abort(self._context, error, self._request_id)
        if not isinstance(error, Exception):
            return
        known = self._explain(error)
        if known is not None:
            logger.warning("call failed", reason=known.reason, error=str(error))
            await abort(self._context, known, self._request_id)
        logger.error("call failed", exc_info=error)
        hidden = DomainError(
            "INTERNAL",
            f"Something went wrong inside VisionMesh. Its log tells more under request id {self._request_id}.",
        )
        await abort(self._context, hidden, self._request_id)


async def abort(context: Context, error: DomainError, request_id: str) -> None:
    """End the call with the error's rich status."""
    status = rpc_status.to_status(to_status(error, request_id))
    trailing = (("x-request-id", request_id), *(status.trailing_metadata or ()))
    await context.abort(status.code, status.details, trailing)


class MeshAuthInterceptor(AroundInterceptor):
    """Lets in only calls that carry the mesh token."""

    def __init__(self, token: str) -> None:
        super().__init__()
        self._expected = f"Bearer {token}".encode()

    @asynccontextmanager
    async def around(self, method: str, context: Context) -> AsyncIterator[None]:
        given = bearer(context)
        if given is None or not hmac.compare_digest(given.encode(), self._expected):
            reason = "TOKEN_MISSING" if given is None else "TOKEN_INVALID"
            raise DomainError(reason, "The mesh is closed to the public: its token is missing or wrong.")
        yield


def bearer(context: Context) -> str | None:
    """The ``authorization`` metadata of a call, or None."""
    for key, value in context.invocation_metadata() or ():
        if key == "authorization":
            return value if isinstance(value, str) else value.decode("latin-1")
    return None
