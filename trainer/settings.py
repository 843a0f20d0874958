"""The settings of a trainer server, read from environment variables."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from rpc.logs import LogLevel
from rpc.process import ENVIRONMENT_PREFIX, Address
from storage.objects.s3_settings import S3Settings

_GIB = 1 << 30
_MIB = 1 << 20

# Pillow takes larger images for an attack and warns of them, whatever a server allows.
_PILLOW_MAX_PIXELS = 89_478_485


class TrainerSettings(S3Settings):
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
    mesh_token: SecretStr = Field(
        min_length=16, description="Secret that gateway, trainers and run agents share, at least 16 characters."
    )
    mesh_target: Address = Field(
        default="127.0.0.1:50052",
        description="The gateway's mesh address, where run agents publish their events.",
    )
    slots: int = Field(default=1, ge=0, description="Runs at once; 0 serves predictions only.")
    threads_per_run: int = Field(
        default=0, ge=0, description="Compute threads of one run; 0 shares the processors among the slots."
    )
    dataset_cache_bytes: int = Field(default=20 * _GIB, gt=0, description="Size limit of the dataset cache in bytes.")
    checkpoint_cache_bytes: int = Field(
        default=5 * _GIB, gt=0, description="Size limit of the checkpoint cache in bytes."
    )
    pretrained_folder: Path | None = Field(
        default=None,
        description="Folder of pretrained weights, MODEL.safetensors or MODEL.TAG.safetensors; used before the hub.",
    )
    predictor_memory_bytes: int = Field(
        default=2 * _GIB, gt=0, description="Memory for the weights of loaded models in bytes."
    )
    predictor_threads: int = Field(
        default=2, ge=1, le=256, description="Predictions at once; the processors are shared among them."
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
    def threads_per_prediction(self) -> int:
        """Compute threads of one prediction."""
        return max(1, (os.cpu_count() or 1) // self.predictor_threads)
