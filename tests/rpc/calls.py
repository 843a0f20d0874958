"""A service with all four kinds of call, one of them in two manners, for what interceptors must do alike for each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
from google.protobuf.wrappers_pb2 import StringValue

SERVICE = "visionmesh.test.FourKinds"
KINDS = ("UnaryUnary", "UnaryStream", "UnaryStreamWritten", "StreamUnary", "StreamStream")
STREAMS = ("UnaryStream", "UnaryStreamWritten", "StreamStream")
ATTEMPTS = 5


class FourKinds:
    """Answers each request with ``answer(text)``. The streams send one item before they ask ``answer``."""

    def __init__(self, answer: Callable[[str], str]) -> None:
        self._answer = answer

    def add(self, server: grpc.aio.Server) -> None:
        """Register the service on a server."""
        codec: dict[str, Any] = {
            "request_deserializer": StringValue.FromString,
            "response_serializer": StringValue.SerializeToString,
        }
        handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            "UnaryUnary": grpc.unary_unary_rpc_method_handler(self._unary_unary, **codec),
            "UnaryStream": grpc.unary_stream_rpc_method_handler(self._unary_stream, **codec),
            "UnaryStreamWritten": grpc.unary_stream_rpc_method_handler(self._unary_stream_written, **codec),
            "StreamUnary": grpc.stream_unary_rpc_method_handler(self._stream_unary, **codec),
            "StreamStream": grpc.stream_stream_rpc_method_handler(self._stream_stream, **codec),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))

    async def _unary_unary(self, request: StringValue, context: object) -> StringValue:
        return StringValue(value=self._answer(request.value))

    async def _unary_stream(self, request: StringValue, context: object) -> AsyncIterator[StringValue]:
        yield StringValue(value="first")
        yield StringValue(value=self._answer(request.value))

    async def _unary_stream_written(self, request: StringValue, context: Any) -> None:
        """The same, written to the context in place of yielded."""
        await context.write(StringValue(value="first"))
        await context.write(StringValue(value=self._answer(request.value)))

    async def _stream_unary(self, requests: AsyncIterator[StringValue], context: object) -> StringValue:
        texts = [request.value async for request in requests]
        return StringValue(value=self._answer(texts[-1]))

    async def _stream_stream(self, requests: AsyncIterator[StringValue], context: object) -> AsyncIterator[StringValue]:
        yield StringValue(value="first")
        async for request in requests:
            yield StringValue(value=self._answer(request.value))


async def call(
    channel: grpc.aio.Channel, kind: str, text: str, metadata: tuple[tuple[str, str], ...] = ()
) -> list[str]:
    """Make one call of a kind and give its answers. Raises Broken when a stream fails, AioRpcError for the others."""
    codec: dict[str, Any] = {
        "request_serializer": StringValue.SerializeToString,
        "response_deserializer": StringValue.FromString,
    }
    path, request = f"/{SERVICE}/{kind}", StringValue(value=text)
    answer: StringValue
    stream: grpc.aio.UnaryStreamCall[Any, StringValue] | grpc.aio.StreamStreamCall[Any, StringValue]
    if kind == "UnaryUnary":
        answer = await channel.unary_unary(path, **codec)(request, metadata=metadata, timeout=10)
        return [answer.value]
    if kind == "StreamUnary":
        answer = await channel.stream_unary(path, **codec)(iter([request]), metadata=metadata, timeout=10)
        return [answer.value]
    if kind.startswith("UnaryStream"):
        stream = channel.unary_stream(path, **codec)(request, metadata=metadata, timeout=10)
    else:
        stream = channel.stream_stream(path, **codec)(iter([request]), metadata=metadata, timeout=10)
    answers: list[str] = []
    try:
        async for item in stream:
            answers.append(item.value)
    except grpc.aio.AioRpcError as error:
        raise Broken(answers, error) from error
    return answers


class Broken(Exception):
    """A stream that ended with an error, after ``answers``."""

    def __init__(self, answers: list[str], error: grpc.aio.AioRpcError) -> None:
        super().__init__(str(error))
        self.answers = answers
        self.error = error


async def failure(
    channel: grpc.aio.Channel, kind: str, text: str, metadata: tuple[tuple[str, str], ...] = ()
) -> tuple[list[str], grpc.aio.AioRpcError]:
    """The answers before a call failed, and its error. Fails when the call does not."""
    for _ in range(ATTEMPTS):
        answers: list[str] = []
        try:
            answers = await call(channel, kind, text, metadata)
        except Broken as broken:
            answers, error = broken.answers, broken.error
        except grpc.aio.AioRpcError as raised:
            error = raised
        else:
            raise AssertionError(f"{kind} was answered: {answers}")
        if not _is_of_a_write(error):
            return answers, error
    raise AssertionError(f"{kind} never said why it failed")


def _is_of_a_write(error: grpc.aio.AioRpcError) -> bool:
    """Whether it says that the call ended while it was written to: grpc.aio then does not wait to hear why."""
    return error.code() is grpc.StatusCode.INTERNAL and not error.trailing_metadata()
