"""The fleet: the trainers of the configuration, what each says it is, and whether it answers."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import grpc
import structlog

from rpc.channel import open_mesh_channel
from rpc.errors import CODES, DomainError
from visionmesh.errors import VisionMeshError, from_rpc
from visionmesh.mesh.v1 import trainer_pb2, trainer_service_pb2_grpc

T = TypeVar("T")
logger = structlog.get_logger()


class Trainer:
    """One trainer server. ``description`` is its last answer; ``problem`` says why it does not answer now."""

    def __init__(self, address: str, token: str, timeout_seconds: float) -> None:
        self.address = address
        self.description: trainer_pb2.DescribeResponse | None = None
        self.problem = "has not answered yet"
        self._timeout_seconds = timeout_seconds
        self._channel = open_mesh_channel(address, token)
        self.stub = trainer_service_pb2_grpc.TrainerServiceStub(self._channel)

    @property
    def framework(self) -> str:
        """The framework it said it serves; empty when it never answered."""
        return self.description.framework if self.description is not None else ""

    @property
    def healthy(self) -> bool:
        """Whether it answered the last time it was asked."""
        return not self.problem

    async def call(self, ask: Callable[[trainer_service_pb2_grpc.TrainerServiceAsyncStub, float], Awaitable[T]]) -> T:
        """Make one call; its errors come back as domain errors, the trainer's own reasons kept."""
        try:
            return await ask(self.stub, self._timeout_seconds)
        except grpc.aio.AioRpcError as error:
            raise self._translate(from_rpc(error)) from error

    async def refresh(self, timeout_seconds: float) -> None:
        """Ask who it is; afterwards ``problem`` tells whether it answered."""
        try:
            self.description = await self.stub.Describe(trainer_pb2.DescribeRequest(), timeout=timeout_seconds)
            problem = ""
        except grpc.aio.AioRpcError as error:
            problem = f"{error.code().name}: {from_rpc(error).message}"
        if problem != self.problem:
            logger.info("trainer", address=self.address, framework=self.framework, problem=problem or None)
        self.problem = problem

    async def close(self) -> None:
        """Close the channel."""
        await self._channel.close()

    def _translate(self, error: VisionMeshError) -> DomainError:
        if error.reason in CODES and error.reason not in ("INTERNAL", "TOKEN_INVALID", "TOKEN_MISSING"):
            return DomainError(
                error.reason,
                error.message,
                metadata={key: value for key, value in error.metadata.items() if key != "request_id"},
                violations=error.violations,
                retry_seconds=error.retry_seconds,
            )
        if error.code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
            return unavailable(self.framework, [self], f"{error.code.name}: {error.message}")
        logger.error("trainer failed", address=self.address, code=error.code.name, message=error.message)
        return DomainError("INTERNAL", f"The trainer of {self.framework} failed; the logs of both tell more.")


def unavailable(framework: str, trainers: Sequence[Trainer], why: str = "") -> DomainError:
    """FRAMEWORK_UNAVAILABLE, naming the addresses and why."""
    said = why or "; ".join(f"{trainer.address} {trainer.problem}" for trainer in trainers)
    return DomainError(
        "FRAMEWORK_UNAVAILABLE",
        f"No trainer of {framework} can be reached ({said}). Start it or try again.",
        metadata={"framework": framework, "addresses": ", ".join(trainer.address for trainer in trainers)},
        retry_seconds=2.0,
    )


class Fleet:
    """All trainers of the configuration."""

    def __init__(
        self,
        addresses: Sequence[str],
        token: str,
        *,
        poll_seconds: float = 2.0,
        answer_seconds: float = 5.0,
        timeout_seconds: float = 30.0,
    ) -> None:
        """``answer_seconds`` is how long a trainer has to say how it is: one that imports its framework, or computes
        on every processor, is slow to answer and yet there."""
        self.trainers = tuple(Trainer(address, token, timeout_seconds) for address in addresses)
        self._poll_seconds = poll_seconds
        self._answer_seconds = answer_seconds
        self._polls: list[asyncio.Task[None]] = []
        self._watchers: list[Callable[[], None]] = []

    async def start(self) -> None:
        """Ask every trainer once (without waiting long for one that is down), then go on asking."""
        await asyncio.gather(*(trainer.refresh(1.0) for trainer in self.trainers))
        self._polls = [asyncio.create_task(self._poll(trainer)) for trainer in self.trainers]

    async def close(self) -> None:
        """Stop asking and close the channels."""
        for poll in self._polls:
            poll.cancel()
        await asyncio.gather(*self._polls, return_exceptions=True)
        await asyncio.gather(*(trainer.close() for trainer in self.trainers))

    def on_change(self, notify: Callable[[], None]) -> None:
        """Call ``notify`` after every answer of a trainer, for who waits for a free slot."""
        self._watchers.append(notify)

    def frameworks(self) -> list[str]:
        """Names of the frameworks that some trainer said it serves, sorted."""
        return sorted({trainer.framework for trainer in self.trainers if trainer.framework})

    def serving(self, framework: str) -> list[Trainer]:
        """The healthy trainers of a framework, those with free slots first.

        Raises DomainError FRAMEWORK_NOT_FOUND when no trainer serves it, FRAMEWORK_UNAVAILABLE when none answers.
        """
        known = [trainer for trainer in self.trainers if trainer.framework == framework]
        silent = [trainer for trainer in self.trainers if not trainer.framework]
        if not known and silent:
            raise unavailable(framework, silent)
        if not known:
            names = ", ".join(self.frameworks()) or "none"
            raise DomainError(
                "FRAMEWORK_NOT_FOUND",
                f"No trainer of this mesh serves the framework {framework!r}; it serves: {names}.",
                metadata={"framework": framework, "known": names},
            )
        healthy = [trainer for trainer in known if trainer.healthy]
        if not healthy:
            raise unavailable(framework, known)
        random.shuffle(healthy)
        return sorted(healthy, key=lambda trainer: -trainer.description.free_slots if trainer.description else 0)

    def at(self, address: str) -> Trainer | None:
        """The trainer of that address, if the configuration still has it."""
        return next((trainer for trainer in self.trainers if trainer.address == address), None)

    async def _poll(self, trainer: Trainer) -> None:
        while True:
            await asyncio.sleep(self._poll_seconds)
            await trainer.refresh(self._answer_seconds)
            for notify in self._watchers:
                notify()
