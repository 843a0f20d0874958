"""The parts of a gateway that jobs need, wired as ``gateway.app`` wires them, on free ports of this process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import grpc
from grpc.aio import ServerInterceptor

from gateway.access import AuthInterceptor
from gateway.checkpoint_readers import CheckpointReaders
from gateway.events.following import Follower
from gateway.events.live import LiveLog
from gateway.events.log import QUEUE_NOTICE, JobLog
from gateway.events.watching import Watcher
from gateway.fleet import Fleet
from gateway.outages import explain
from gateway.telemetry.access import RunTokenInterceptor
from gateway.telemetry.leases import LeaseKeeper
from gateway.telemetry.service import TelemetryService
from gateway.telemetry.servicer import TelemetryServicer
from gateway.training.changes import JobChanges
from gateway.training.checkpoint_downloads import CheckpointDownloads
from gateway.training.dispatcher import Dispatcher
from gateway.training.garbage import GarbageCollector
from gateway.training.reports import JobReports
from gateway.training.restarts import RestartPolicy
from gateway.training.retention import Retention
from gateway.training.service import JobService
from gateway.training.servicer import TrainingServicer
from gateway.training.sweeping import Sweeper
from gateway.training.validation import ValidationReports
from gateway.training.validation_objects import ValidationObjects
from rpc.interceptors import ErrorInterceptor
from rpc.server import HealthyServer, create_server
from storage.database.engine import Database
from storage.objects.store import ObjectStore
from tests.gateway.stand_in import MESH_TOKEN, StandInTrainer
from visionmesh.mesh.v1 import telemetry_service_pb2_grpc

# Small, so that a message above it is quickly made; a gateway's own limits are larger.
MAX_MESSAGE_BYTES = 4 << 20
NO_PROGRESS_SECONDS = 1234


@dataclass(frozen=True)
class GatewayTimes:
    """The settings that tests change; the defaults are those of a gateway, but for how often and how soon it looks."""

    heartbeat_seconds: float = 10.0
    contact_lost_seconds: float = 8.0
    lease_seconds: float = 60.0
    check_seconds: float = 0.05
    recheck_seconds: float = 0.1
    poll_seconds: float = 0.5  # also how long a trainer has for its answer
    timeout_seconds: float = 10.0
    restart_delay_seconds: float = 10.0
    restart_delay_max_seconds: float = 600.0
    ring_events: int = 2048
    checkpoint_every_n_epochs: int = 0
    checkpoint_keep_last: int = 1
    checkpoint_removal_delay_seconds: float = 0.0
    follow_seconds: float = 5.0


class JobGateway:
    """One gateway over a database file and stand-in trainers. ``address`` is public, ``mesh_address`` the agents'."""

    def __init__(self, url: str, store: ObjectStore, trainers: Sequence[StandInTrainer], times: GatewayTimes) -> None:
        self.database = Database(url, pool_size=3)
        self.fleet = Fleet(
            [trainer.address for trainer in trainers],
            MESH_TOKEN,
            poll_seconds=times.poll_seconds,
            answer_seconds=times.poll_seconds,
            timeout_seconds=times.timeout_seconds,
        )
        self.live = LiveLog(times.ring_events)
        self.validation_objects = ValidationObjects(store)
        self.readers = CheckpointReaders()
        self.garbage = GarbageCollector(
            self.database, store, self.readers, delay_seconds=times.checkpoint_removal_delay_seconds
        )
        restarts = RestartPolicy(times.restart_delay_seconds, times.restart_delay_max_seconds)
        self.log = JobLog(self.database, self.live, self.garbage.wake, restarts)
        self.sweeper = Sweeper(self.log, store)
        self.downloads = CheckpointDownloads(self.database, store, self.readers)
        self.telemetry = TelemetryService(self.log, write_contact_seconds=times.contact_lost_seconds / 2)
        self.dispatcher = Dispatcher(self.log, self.fleet, self.telemetry, times.recheck_seconds)
        self.leases = LeaseKeeper(
            self.log,
            self.fleet,
            self.telemetry,
            contact_lost_seconds=times.contact_lost_seconds,
            lease_seconds=times.lease_seconds,
            check_seconds=times.check_seconds,
        )
        retention = Retention(times.checkpoint_every_n_epochs, times.checkpoint_keep_last)
        self.follower = Follower(self.log, self.telemetry.relay, times.follow_seconds)
        self.database.notices.subscribe(QUEUE_NOTICE, lambda framework: self.dispatcher.wake())
        jobs = JobService(self.log, self.fleet, self.telemetry, self.dispatcher.wake, retention)
        changes = JobChanges(self.log, self.dispatcher.wake, retention)
        watcher = Watcher(self.database, self.live, times.heartbeat_seconds)
        validations = ValidationReports(jobs, self.validation_objects)
        training = TrainingServicer(
            jobs, changes, JobReports(jobs), validations, self.downloads, watcher, NO_PROGRESS_SECONDS
        )
        add_telemetry = telemetry_service_pb2_grpc.add_TelemetryServiceServicer_to_server
        self._public = _server(
            "visionmesh.v1.TrainingService",
            training.add_to,
            [ErrorInterceptor(explain), AuthInterceptor(self.database)],
        )
        self._mesh = _server(
            "visionmesh.mesh.v1.TelemetryService",
            partial(add_telemetry, TelemetryServicer(self.telemetry)),
            [ErrorInterceptor(explain), RunTokenInterceptor(self.database)],
        )
        self.address = f"127.0.0.1:{self._public.server.add_insecure_port('127.0.0.1:0')}"
        self.mesh_address = f"127.0.0.1:{self._mesh.server.add_insecure_port('127.0.0.1:0')}"
        self._open = False

    async def start(self) -> None:
        """Serve, in the order of a gateway's start."""
        self._open = True
        self.follower.start()
        self.database.notices.start()
        await self._mesh.serve()
        await self.fleet.start()
        self.dispatcher.start()
        self.leases.start()
        self.garbage.start()
        self.sweeper.start()
        await self._public.serve()

    async def kill(self) -> None:
        """End at once: calls break off, nobody is told. Can be called twice."""
        if not self._open:
            return
        self._open = False
        await self._mesh.server.stop(None)
        await self._public.server.stop(None)
        await self.dispatcher.close()
        await self.leases.close()
        await self.sweeper.close()
        await self.garbage.close()
        await self.downloads.close()
        await self.validation_objects.close()
        await self.follower.close()
        await self.fleet.close()
        await self.database.close()

    def drain_watches(self) -> None:
        """What a stop does to watches."""
        self.live.close()

    def drain_agents(self) -> None:
        """What a stop does to the agents' streams."""
        self.telemetry.close()


def _server(name: str, add: object, interceptors: Sequence[ServerInterceptor]) -> HealthyServer:
    return create_server([(name, add)], interceptors=interceptors, max_message_bytes=MAX_MESSAGE_BYTES)  # type: ignore[list-item]


def open_channel(address: str) -> grpc.aio.Channel:
    """A channel that, unlike those of one process by default, shares its connection with no other."""
    return grpc.aio.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)])
