"""Settings of the gateway, from the environment (prefix ``VISIONMESH_``)."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from rpc.logs import LogLevel
from rpc.process import ENVIRONMENT_PREFIX, Address
from storage.objects.s3_settings import S3Settings


class GatewaySettings(S3Settings):
    """All that can be set. Addresses are ``host:port``; port 0 takes any free one."""

    model_config = SettingsConfigDict(env_prefix=ENVIRONMENT_PREFIX, env_ignore_empty=True, frozen=True, extra="ignore")

    database_url: str = Field(
        "sqlite:///visionmesh.db", description="Database: sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME."
    )
    migrate_on_start: bool = Field(True, description="Bring the database to the newest schema at start.")
    database_pool_size: int = Field(5, ge=1, le=100, description="Threads and connections for queries.")
    database_statement_timeout_seconds: float = Field(
        30.0, gt=0, allow_inf_nan=False, description="Longest time a statement may take on PostgreSQL."
    )
    object_store: str = Field("objects", description="Object store: a folder, s3://BUCKET or s3://BUCKET/PREFIX.")
    trainer_addresses: tuple[Address, ...] = Field((), description="Addresses of the trainers, as a JSON list.")
    public_address: Address = Field("127.0.0.1:50051", description="Where the public services listen.")
    mesh_address: Address = Field("127.0.0.1:50052", description="Where run agents report; not for the public.")
    mesh_token: SecretStr = Field(
        description="Secret shared by gateway and trainers, at least 16 characters.", min_length=16
    )
    token_file: Path | None = Field(
        None, description="Makes the user `owner` and writes a Bearer token of his here, readable by its owner alone."
    )
    address_file: Path | None = Field(
        None, description='Once serving, {"public": ADDRESS, "mesh": ADDRESS} is written here.'
    )
    max_message_bytes: int = Field(32 << 20, ge=1 << 16, description="Largest message of the public port, in bytes.")
    max_image_pixels: int = Field(50_000_000, ge=1, description="Largest image of a dataset, in pixels.")
    trainer_poll_seconds: float = Field(2.0, gt=0, description="How often each trainer is asked how it is.")
    trainer_timeout_seconds: float = Field(30.0, gt=0, description="Deadline of calls to a trainer, in seconds.")
    heartbeat_seconds: float = Field(10.0, gt=0, description="Sign of life in an idle watch, in seconds.")
    contact_lost_seconds: float = Field(
        8.0, gt=0, description="Silence of a run agent after which its job shows contact_lost_time."
    )
    lease_seconds: float = Field(
        60.0, gt=0, description="Silence of a run agent after which its attempt is given up, in seconds."
    )
    ring_events: int = Field(2048, ge=1, description="Newest events of a live job kept in memory for watchers.")
    upload_abandon_hours: float = Field(24.0, gt=0, description="Unfinished uploads idle this long are removed.")
    drain_seconds: float = Field(10.0, ge=0, description="Time for calls in progress to end at a stop, in seconds.")
    log_level: LogLevel = Field("info", description="Least important messages to log: debug, info, warning or error.")
    log_json: bool | None = Field(
        None, description="Log JSON (true) or readable lines (false); unset: readable on a terminal only."
    )
