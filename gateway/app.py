"""The composition root of the gateway: settings, parts, start and stop."""

from __future__ import annotations

import asyncio
from functools import partial

import structlog

from gateway.access import AuthInterceptor
from gateway.checkpoint_readers import CheckpointReaders
from gateway.datasets.archives.rules import ArchiveLimits
from gateway.datasets.import_rules import ImportRules
from gateway.datasets.inventory import UploadLimits
from gateway.datasets.service import DatasetService
from gateway.datasets.servicer import DatasetServicer
from gateway.events.compaction import CompactionRules, Compactor
from gateway.events.following import Follower
from gateway.events.live import LiveLog
from gateway.events.log import QUEUE_NOTICE, JobLog
from gateway.events.watching import Watcher
from gateway.fleet import Fleet
from gateway.inference.service import InferenceService
from gateway.inference.servicer import InferenceServicer
from gateway.outages import explain
from gateway.owner import ensure_owner
from gateway.registry.service import RegistryService
from gateway.registry.servicer import RegistryServicer
from gateway.settings import GatewaySettings
from gateway.telemetry.access import RunTokenInterceptor
from gateway.telemetry.leases import LeaseKeeper
from gateway.telemetry.run_objects import RunObjects
from gateway.telemetry.run_objects_servicer import RunObjectsServicer
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
from gateway.work_folder import WorkFolderUnusable
from rpc.allocator import return_large_blocks
from rpc.channel import MAX_MESSAGE_BYTES
from rpc.collector import search_rarely, spare_what_is_there
from rpc.interceptors import ErrorInterceptor
from rpc.logs import configure_logs
from rpc.process import AddressInUse, bind, listen_for_signals, loop_factory, read_settings, refuse, write_addresses
from rpc.server import HealthyServer, create_server, service_name
from storage.database.engine import Database
from storage.database.errors import DatabaseError
from storage.database.migrate import check_schema, migrate
from storage.objects.errors import StoreUnavailable
from storage.objects.open import open_store
from storage.objects.store import ObjectStore
from visionmesh.mesh.v1 import (
    run_objects_service_pb2,
    run_objects_service_pb2_grpc,
    telemetry_service_pb2,
    telemetry_service_pb2_grpc,
)
from visionmesh.v1 import (
    dataset_service_pb2,
    dataset_service_pb2_grpc,
    inference_service_pb2,
    inference_service_pb2_grpc,
    registry_service_pb2,
    registry_service_pb2_grpc,
    training_service_pb2,
)

logger = structlog.get_logger()
PROGRAM = "python -m gateway"


def main() -> None:
    """Serve until SIGTERM or SIGINT; a second signal ends the process at once.

    Exits with code 2 and one line on standard error when the settings are wrong or what they name cannot be used.
    """
    return_large_blocks()
    settings = read_settings(GatewaySettings, PROGRAM, "The gateway of a VisionMesh: its public services.")
    configure_logs(settings.log_level, settings.log_json)
    try:
        store = open_store(settings.object_store, settings)
        database_url = settings.full_database_url()
        database = Database(
            database_url,
            pool_size=settings.database_pool_size,
            statement_timeout_seconds=settings.database_statement_timeout_seconds,
        )
        database.acquire_lock()
        if settings.migrate_on_start:
            migrate(database_url)
        else:
            check_schema(database_url)
    except (OSError, StoreUnavailable, DatabaseError) as error:
        refuse(PROGRAM, str(error))
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(_serve(settings, database, store))
    except (AddressInUse, WorkFolderUnusable) as error:
        refuse(PROGRAM, str(error))


async def _serve(settings: GatewaySettings, database: Database, store: ObjectStore) -> None:
    # Servers and channels of grpc.aio belong to the loop they are made in.
    await Gateway(settings, database, store).serve()


class Gateway:
    """Every part of one gateway, wired."""

    def __init__(self, settings: GatewaySettings, database: Database, store: ObjectStore) -> None:
        self._settings = settings
        self._database = database
        token = settings.mesh_token.get_secret_value()
        self._live = LiveLog(settings.ring_events)
        self._fleet = Fleet(
            settings.trainer_addresses,
            token,
            poll_seconds=settings.trainer_poll_seconds,
            timeout_seconds=settings.trainer_timeout_seconds,
        )
        self._validation_objects = ValidationObjects(store)
        readers = CheckpointReaders()
        self._garbage = GarbageCollector(
            database, store, readers, delay_seconds=settings.checkpoint_removal_delay_seconds
        )
        restarts = RestartPolicy(settings.restart_delay_seconds, settings.restart_delay_max_seconds)
        log = JobLog(database, self._live, self._garbage.wake, restarts)
        self._sweeper = Sweeper(log, store)
        self._downloads = CheckpointDownloads(database, store, readers)
        self._telemetry = TelemetryService(log, write_contact_seconds=settings.contact_lost_seconds / 2)
        self._dispatcher = Dispatcher(log, self._fleet, self._telemetry)
        self._compactor = Compactor(database, _compaction_rules(settings), every_seconds=settings.compaction_seconds)
        self._leases = LeaseKeeper(
            log,
            self._fleet,
            self._telemetry,
            contact_lost_seconds=settings.contact_lost_seconds,
            lease_seconds=settings.lease_seconds,
        )
        self._follower = Follower(log, self._telemetry.relay)
        database.notices.subscribe(QUEUE_NOTICE, lambda framework: self._dispatcher.wake())
        self._datasets = DatasetService(
            database,
            store,
            max_image_pixels=settings.max_image_pixels,
            limits=_upload_limits(settings),
            abandoned_upload_hours=settings.upload_abandon_hours,
            max_message_bytes=settings.max_message_bytes,
            upload_url_seconds=settings.upload_url_seconds,
            import_rules=ImportRules(settings.import_sources, settings.object_store, settings),
            analysis_threads=settings.analysis_threads,
            work_folder=settings.work_folder,
        )
        retention = Retention(settings.checkpoint_every_n_epochs, settings.checkpoint_keep_last)
        jobs = JobService(log, self._fleet, self._telemetry, self._dispatcher.wake, retention)
        changes = JobChanges(log, self._dispatcher.wake, retention)
        validations = ValidationReports(jobs, self._validation_objects)
        watcher = Watcher(database, self._live, settings.heartbeat_seconds)
        self._inference = InferenceService(
            database,
            self._fleet,
            store,
            trained=log.kept_reads(),
            max_image_bytes=settings.max_message_bytes,
            readers=readers,
        )
        self._public = self._public_server(
            RegistryServicer(RegistryService(self._fleet)),
            DatasetServicer(self._datasets),
            TrainingServicer(
                jobs,
                changes,
                JobReports(jobs),
                validations,
                self._downloads,
                watcher,
                settings.no_progress_seconds,
            ),
            InferenceServicer(self._inference),
        )
        add_telemetry = telemetry_service_pb2_grpc.add_TelemetryServiceServicer_to_server
        add_objects = run_objects_service_pb2_grpc.add_RunObjectsServiceServicer_to_server
        telemetry, objects = TelemetryServicer(self._telemetry), RunObjectsServicer(RunObjects(database, store))
        self._mesh = create_server(
            [
                (service_name(telemetry_service_pb2.DESCRIPTOR), partial(add_telemetry, telemetry)),
                (service_name(run_objects_service_pb2.DESCRIPTOR), partial(add_objects, objects)),
            ],
            interceptors=[ErrorInterceptor(explain), RunTokenInterceptor(database)],
            max_message_bytes=MAX_MESSAGE_BYTES,
        )

    async def serve(self) -> None:
        """Serve until the process is told to end, then drain. Raises AddressInUse, WorkFolderUnusable."""
        settings = self._settings
        if settings.address_file is not None:
            # Whoever waits for the file must not read the addresses of an earlier gateway.
            settings.address_file.unlink(missing_ok=True)
        told_to_end = listen_for_signals()
        if settings.token_file is not None:
            await ensure_owner(self._database, settings.token_file)
        addresses = {
            "public": bind(self._public, settings.public_address),
            "mesh": bind(self._mesh, settings.mesh_address),
        }
        self._follower.start()
        self._database.notices.start()
        await self._datasets.start()
        self._garbage.start()
        self._sweeper.start()
        await self._mesh.serve()
        await self._fleet.start()
        self._dispatcher.start()
        self._leases.start()
        self._compactor.start()
        spare_what_is_there()
        search_rarely()
        await self._public.serve()
        if settings.address_file is not None:
            write_addresses(settings.address_file, addresses)
        logger.info("serving", **addresses)
        await told_to_end.wait()
        await self._drain()
        logger.info("stopped")

    async def _drain(self) -> None:
        """Turn callers away first; watchers and agents are told to come back; then everything ends in order."""
        logger.info("draining", drain_seconds=self._settings.drain_seconds)
        await self._public.health.enter_graceful_shutdown()
        self._live.close()
        self._inference.stop_streams()
        await self._public.drain(self._settings.drain_seconds)
        await self._dispatcher.close()
        await self._leases.close()
        await self._compactor.close()
        self._telemetry.close()
        await self._mesh.drain(self._settings.drain_seconds)
        await self._datasets.close()
        await self._sweeper.close()
        await self._garbage.close()
        await self._downloads.close()
        await self._validation_objects.close()
        await self._follower.close()
        self._inference.close()
        await self._fleet.close()
        await self._database.close()

    def _public_server(
        self,
        registry: RegistryServicer,
        datasets: DatasetServicer,
        training: TrainingServicer,
        inference: InferenceServicer,
    ) -> HealthyServer:
        add_registry = registry_service_pb2_grpc.add_RegistryServiceServicer_to_server
        add_datasets = dataset_service_pb2_grpc.add_DatasetServiceServicer_to_server
        add_inference = inference_service_pb2_grpc.add_InferenceServiceServicer_to_server
        return create_server(
            [
                (service_name(registry_service_pb2.DESCRIPTOR), partial(add_registry, registry)),
                (service_name(dataset_service_pb2.DESCRIPTOR), partial(add_datasets, datasets)),
                (service_name(training_service_pb2.DESCRIPTOR), training.add_to),
                (service_name(inference_service_pb2.DESCRIPTOR), partial(add_inference, inference)),
            ],
            interceptors=[ErrorInterceptor(explain), AuthInterceptor(self._database)],
            max_message_bytes=self._settings.max_message_bytes,
        )


def _compaction_rules(settings: GatewaySettings) -> CompactionRules:
    return CompactionRules(
        keep_hours=settings.keep_events_hours,
        log_lines=settings.keep_log_lines,
        progress_events=settings.keep_progress_events,
        metric_points=settings.keep_metric_points,
    )


def _upload_limits(settings: GatewaySettings) -> UploadLimits:
    return UploadLimits(
        max_files=settings.max_dataset_files,
        max_file_bytes=settings.max_file_bytes,
        max_dataset_bytes=settings.max_dataset_bytes,
        memory_bytes=settings.upload_memory_bytes,
        archives=ArchiveLimits(
            max_entries=settings.archive_max_entries,
            max_unpacked_bytes=settings.archive_max_unpacked_bytes,
            max_ratio=settings.archive_max_ratio,
            max_depth=settings.archive_max_depth,
        ),
    )
