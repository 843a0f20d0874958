"""The settings of a trainer server, read from environment variables."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from rpc.logs import LogLevel
from rpc.mesh_token import MeshTokenSettings
from rpc.process import ENVIRONMENT_PREFIX, Address, Addresses
from storage.objects.s3_settings import S3Settings

_GIB = 1 << 30
_MIB = 1 << 20

# Pillow takes larger images for an attack and warns of them, whatever a server allows.
_PILLOW_MAX_PIXELS = 89_478_485


class TrainerSettings(MeshTokenSettings, S3Settings):
    """What a trainer server and the agents of its runs can be told."""

    model_config = SettingsConfigDict(env_prefix=ENVIRONMENT_PREFIX, env_ignore_empty=True, frozen=True, extra="ignore")

    listen_address: Address = Field(
        default="127.0.0.1:50061",
        description="Address to serve on, host:port; port 0 takes a free one.",
    )
    address_file: Path | None = Field(
        default=None, description='JSON file {"address": "host:port"}, written once the server serves.'
    )
    data_folder: Path = Field(description="Folder for runs and caches; each trainer server needs its own.")
    object_store: str = Field(
        description="Object store, shared with the gateway: a folder, s3://BUCKET or s3://BUCKET/PREFIX."
    )
    mesh_target: Addresses = Field(
        default="127.0.0.1:50052",
        description="Mesh addresses of the gateways, between commas; run agents publish to one that answers.",
    )
    slots: int | None = Field(
        default=None,
        ge=0,
        description="Runs at once; unset: one for each GPU, or 1 without; 0 serves predictions only.",
    )
    threads_per_run: int = Field(
        default=0, ge=0, description="Compute threads of one run; 0 shares the processors among the slots."
    )
    warm_parent: bool = Field(
        default=True,
        description="Keep a process that has imported the framework, from which runs start at once; false: each run "
        "imports it anew.",
    )
    dataset_cache_bytes: int = Field(default=20 * _GIB, gt=0, description="Size limit of the dataset cache in bytes.")
    parallel_downloads: int = Field(
        default=32, ge=1, le=512, description="Files of a dataset fetched from the object store at once."
    )
    checkpoint_cache_bytes: int = Field(
        default=5 * _GIB, gt=0, description="Size limit of the checkpoint cache in bytes."
    )
    pretrained_folder: Path | None = Field(
        default=None,
        description="Folder of pretrained weights, MODEL.safetensors or MODEL.TAG.safetensors; used before the hub.",
    )
    predictor_memory_bytes: int = Field(
        default=2 * _GIB, gt=0, description="Memory for loaded models in bytes: weights, or an ONNX session's."
    )
    predictor_runtime: Literal["auto", "torch", "onnxruntime"] = Field(
        default="auto",
        description="What predicts: torch, onnxruntime (an export checked against torch, or torch), or auto: "
        "onnxruntime on a CPU, torch on a GPU.",
    )
    predictor_workers: int = Field(default=2, ge=1, le=256, description="Images decoded and prepared at once.")
    predictor_threads: int = Field(
        default=0, ge=0, le=256, description="Compute threads of a model's batch; 0 takes all processors."
    )
    predictor_batch_size: int = Field(
        default=8, ge=1, le=1024, description="Most images of concurrent calls that a model computes together."
    )
    predictor_batch_wait_ms: float = Field(
        default=0.0,
        ge=0,
        le=1000,
        allow_inf_nan=False,
        description="How long a free model waits for images on their way to fill its batch, in milliseconds.",
    )
    predictor_queue: int = Field(default=64, ge=0, description="Predictions that may wait; more are refused with BUSY.")
    max_image_pixels: int = Field(
        default=50_000_000,
        gt=0,
        le=_PILLOW_MAX_PIXELS,
        description=f"Width times height of the largest image to predict, at most {_PILLOW_MAX_PIXELS}.",
    )
    max_message_bytes: int = Field(
        default=64 * _MIB, ge=_MIB, description="Largest message to receive or send, in bytes."
    )
    stop_runs_on_exit: bool = Field(
        default=False, description="Stop the runs when the server stops; otherwise they go on without it."
    )
    drain_seconds: float = Field(
        default=10.0,
        ge=0,
        allow_inf_nan=False,
        description="Time for calls under way, and then runs, to end at a stop.",
    )
    heartbeat_seconds: float = Field(
        default=2.0, gt=0, allow_inf_nan=False, description="Time between two signs of life of a run agent."
    )
    resource_seconds: float = Field(
        default=5.0,
        ge=0,
        allow_inf_nan=False,
        description="Time between two looks at the processor time, memory and GPU that a run takes; 0 looks never.",
    )
    log_level: LogLevel = Field(
        default="info", description="Least important messages to log: debug, info, warning or error."
    )
    log_json: bool | None = Field(
        default=None, description="Log JSON (true) or readable lines (false); unset: readable on a terminal only."
    )

    @property
    def checkpoint_cache_folder(self) -> Path:
        """Where checkpoints are cached, for predictions and for resumed runs."""
        return self.data_folder / "cache" / "checkpoints"

    @property
    def dataset_cache_folder(self) -> Path:
        """Where datasets are cached."""
        return self.data_folder / "cache" / "datasets"

    @property
    def threads_per_batch(self) -> int:
        """Compute threads of one batch."""
        return self.predictor_threads or os.cpu_count() or 1
