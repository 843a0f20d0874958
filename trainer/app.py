"""The composition root of every trainer server: settings, parts, start and stop."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import uuid
from typing import NoReturn

import structlog

from rpc.collector import spare_what_is_there
from rpc.errors import DomainError
from rpc.interceptors import ErrorInterceptor, MeshAuthInterceptor
from rpc.logs import configure_logs
from rpc.process import AddressInUse, bind, listen_for_signals, loop_factory, read_settings, refuse, write_addresses
from rpc.server import HealthyServer, create_server
from storage.objects.errors import StoreUnavailable
from storage.objects.open import open_store
from trainer.adapter import Adapter
from trainer.cache.checkpoints import CheckpointCache
from trainer.catalogue import Catalogue
from trainer.loading import load_adapter
from trainer.predictors import PoolLimits, PredictorPool
from trainer.runs.launcher import LocalLauncher
from trainer.servicer import TrainerServicer
from trainer.settings import TrainerSettings
from visionmesh.mesh.v1 import trainer_service_pb2, trainer_service_pb2_grpc

logger = structlog.get_logger()

SERVICE = trainer_service_pb2.DESCRIPTOR.services_by_name["TrainerService"].full_name

# How long a draining server still answers, so that those who watch its health can turn away first.
NOTICE_SECONDS = 0.5
OUTAGE_RETRY_SECONDS = 5.0
PREDICTION_OUTAGE_SECONDS = 10.0


def main(adapter_path: str) -> None:
    """Serve the adapter at ``module:Class`` until SIGTERM or SIGINT; a second signal ends the process at once.

    Exits with code 2 and one line on standard error when the settings are wrong or what they name cannot be used.
    """
    program = f"python -m {adapter_path.partition(':')[0].rpartition('.')[0]}"
    settings = read_settings(
        TrainerSettings, program, "Serve a framework's trainings and predictions to a VisionMesh gateway."
    )
    configure_logs(settings.log_level, settings.log_json)
    try:
        settings.data_folder.mkdir(parents=True, exist_ok=True)
        # A prediction has a deadline at the gateway: it must hear of an outage before that.
        patience = min(settings.s3_outage_seconds, PREDICTION_OUTAGE_SECONDS)
        store = open_store(settings.object_store, settings.model_copy(update={"s3_outage_seconds": patience}))
        cache = CheckpointCache(settings.checkpoint_cache_folder, store, settings.checkpoint_cache_bytes)
    except OSError as error:
        refuse(program, f"A folder cannot be used: {error}")
    except StoreUnavailable as error:
        refuse(program, f"The object store cannot be used: {error}")
    # Before any gRPC object and any thread exists: it may fork.
    launcher = LocalLauncher(settings, adapter_path)
    adapter = load_adapter(adapter_path, settings.pretrained_folder)
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(serve(settings, adapter, launcher, cache))
    except AddressInUse as error:
        refuse(program, str(error))
    _exit_now()


async def serve(settings: TrainerSettings, adapter: Adapter, launcher: LocalLauncher, cache: CheckpointCache) -> None:
    """Serve until the process is told to end, then drain. Raises AddressInUse."""
    if settings.address_file is not None:
        # Whoever waits for the file must not read the address of an earlier server.
        settings.address_file.unlink(missing_ok=True)
    catalogue = Catalogue(adapter)
    limits = PoolLimits(
        memory_bytes=settings.predictor_memory_bytes,
        workers=settings.predictor_workers,
        threads=settings.threads_per_batch,
        queue=settings.predictor_queue,
        max_image_pixels=settings.max_image_pixels,
        batch_size=settings.predictor_batch_size,
        wait_seconds=settings.predictor_batch_wait_ms / 1000,
        runtime=settings.predictor_runtime,
    )
    predictors = PredictorPool(adapter.load_predictor, cache, limits, catalogue.ready)
    servicer = TrainerServicer(catalogue, launcher, predictors, slots=launcher.slots, instance_id=uuid.uuid4().hex)
    served = create_server(
        [(SERVICE, lambda server: trainer_service_pb2_grpc.add_TrainerServiceServicer_to_server(servicer, server))],
        interceptors=[ErrorInterceptor(explain), MeshAuthInterceptor(settings.mesh_token.get_secret_value())],
        max_message_bytes=settings.max_message_bytes,
    )
    address = bind(served, settings.listen_address)
    told_to_end = listen_for_signals()
    await served.serve()
    catalogue.start()
    # One after the other: together with the server's own import, that of the warm parent would only slow it down.
    warming = asyncio.create_task(_warm_up(catalogue, launcher))
    if settings.address_file is not None:
        write_addresses(settings.address_file, {"address": address})
    logger.info("serving", framework=adapter.framework, address=address, slots=launcher.slots)
    await told_to_end.wait()
    warming.cancel()
    await _drain(settings, served, servicer, launcher)
    launcher.close()
    predictors.close()
    catalogue.close()
    logger.info("stopped")


async def _warm_up(catalogue: Catalogue, launcher: LocalLauncher) -> None:
    await catalogue.ready()
    spare_what_is_there()  # the framework is imported
    await asyncio.to_thread(launcher.warm_up)


async def _drain(
    settings: TrainerSettings, served: HealthyServer, servicer: TrainerServicer, launcher: LocalLauncher
) -> None:
    """Turn callers away, let the calls under way end, and stop the runs where that is asked for."""
    logger.info("draining", drain_seconds=settings.drain_seconds)
    servicer.drain()
    await served.health.enter_graceful_shutdown()
    notice = min(NOTICE_SECONDS, settings.drain_seconds)
    await asyncio.sleep(notice)
    await served.drain(settings.drain_seconds - notice)
    if settings.stop_runs_on_exit:
        await asyncio.to_thread(launcher.stop_all, settings.drain_seconds)


def explain(error: Exception) -> DomainError | None:
    """The error for callers when ``error`` is an outage of the object store, else None."""
    if not isinstance(error, StoreUnavailable):
        return None
    said = "The object store cannot be used now. Try again in a moment; the trainer's log says what is wrong."
    return DomainError("OBJECT_STORE_UNAVAILABLE", said, retry_seconds=OUTAGE_RETRY_SECONDS)


def _exit_now() -> NoReturn:
    """End the process without waiting for threads: one may be importing a framework for many seconds.

    Nothing is lost by that: runs live in processes of their own, and cache entries are whole or absent.
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
