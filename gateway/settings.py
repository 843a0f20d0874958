"""Settings of the gateway, from the environment (prefix ``VISIONMESH_``)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_settings import SettingsConfigDict

from rpc.logs import LogLevel
from rpc.mesh_token import MeshTokenSettings
from rpc.process import ENVIRONMENT_PREFIX, Address
from storage.database.connections import with_password
from storage.database.errors import DatabaseUnavailable
from storage.objects.s3_settings import S3Settings
from storage.objects.source import source_location


def _import_location(text: str) -> str:
    try:
        return source_location(text)
    except ValueError as error:
        raise ValueError(f"{text!r} {error}") from error


ImportLocation = Annotated[str, AfterValidator(_import_location)]


class GatewaySettings(MeshTokenSettings, S3Settings):
    """All that can be set. Addresses are ``host:port``; port 0 takes any free one."""

    model_config = SettingsConfigDict(env_prefix=ENVIRONMENT_PREFIX, env_ignore_empty=True, frozen=True, extra="ignore")

    database_url: str = Field(
        "sqlite:///visionmesh.db", description="Database: sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME."
    )
    database_password_file: Path | None = Field(
        None, description="File that holds the password of PostgreSQL, for a database URL without one."
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
    token_file: Path | None = Field(
        None, description="Makes the user `owner` and writes a Bearer token of his here, readable by its owner alone."
    )
    address_file: Path | None = Field(
        None, description='Once serving, {"public": ADDRESS, "mesh": ADDRESS} is written here.'
    )
    max_message_bytes: int = Field(32 << 20, ge=1 << 16, description="Largest message of the public port, in bytes.")
    max_image_pixels: int = Field(50_000_000, ge=1, description="Largest image of a dataset, in pixels.")
    max_dataset_files: int = Field(1_000_000, ge=1, description="Most files of a dataset.")
    max_dataset_bytes: int = Field(1 << 40, ge=1, description="Largest dataset, in bytes.")
    max_file_bytes: int = Field(256 << 20, ge=1, description="Largest file of a dataset, in bytes.")
    archive_max_entries: int = Field(1_000_000, ge=1, description="Most entries of an archive that is unpacked.")
    archive_max_unpacked_bytes: int = Field(1 << 40, ge=1, description="Most bytes that an archive may unpack to.")
    archive_max_ratio: float = Field(
        200.0, ge=1, allow_inf_nan=False, description="Most bytes that one packed byte may become, beyond 64 MiB."
    )
    upload_memory_bytes: int = Field(
        16 << 20, ge=1, description="Whole files of all uploads in memory on their way to the store, in bytes."
    )
    archive_max_depth: int = Field(32, ge=0, description="Most folders within each other in an archive.")
    analysis_threads: int = Field(
        0, ge=0, le=64, description="Threads that decode images of datasets; 0: one for each processor, at most 4."
    )
    work_folder: Path | None = Field(
        None,
        description="Folder for temporary files while datasets are analysed; unset: the system's, such as /tmp.",
    )
    trainer_poll_seconds: float = Field(2.0, gt=0, description="How often each trainer is asked how it is.")
    trainer_timeout_seconds: float = Field(30.0, gt=0, description="Deadline of calls to a trainer, in seconds.")
    heartbeat_seconds: float = Field(10.0, gt=0, description="Sign of life in an idle watch, in seconds.")
    contact_lost_seconds: float = Field(
        8.0, gt=0, description="Silence of a run agent after which its job shows contact_lost_time."
    )
    lease_seconds: float = Field(
        60.0, gt=0, description="Silence of a run agent after which its attempt is given up, in seconds."
    )
    checkpoint_every_n_epochs: int = Field(
        0, ge=0, le=100_000, description="Checkpoints of every n-th epoch are kept, beside best and last; 0: none."
    )
    checkpoint_keep_last: int = Field(1, ge=1, le=1000, description="How many of a job's newest checkpoints are kept.")
    checkpoint_removal_delay_seconds: float = Field(
        60.0, ge=0, allow_inf_nan=False, description="How long the bytes of a checkpoint that is not kept outlast it."
    )
    restart_delay_seconds: float = Field(
        10.0,
        ge=0,
        allow_inf_nan=False,
        description="Wait before a failed job's first restart; each further one doubles it.",
    )
    restart_delay_max_seconds: float = Field(
        600.0, ge=0, allow_inf_nan=False, description="Longest wait before a restart, in seconds."
    )
    no_progress_seconds: int = Field(
        1800,
        ge=0,
        description="Silence of a training after which its attempt is ended and restarted, for jobs that do not say; "
        "0: never.",
    )
    ring_events: int = Field(2048, ge=1, description="Newest events of a live job kept in memory for watchers.")
    keep_events_hours: float = Field(
        24.0,
        ge=0,
        allow_inf_nan=False,
        description="How long every event is kept: a watcher may be away for so long and go on without a gap.",
    )
    keep_log_lines: int = Field(100_000, ge=0, description="Log lines of a job that are kept of what is older.")
    keep_progress_events: int = Field(
        1_000, ge=0, description="Progress events of a job that are kept of what is older."
    )
    keep_metric_points: int = Field(
        10_000, ge=2, description="Metric points of a job that are kept of what is older; more are thinned evenly."
    )
    compaction_seconds: float = Field(
        600.0,
        ge=0,
        allow_inf_nan=False,
        description="How often it is looked for events that need no longer be kept, in seconds; 0: never.",
    )
    upload_url_seconds: int = Field(
        3600, ge=1, le=7 * 24 * 3600, description="How long a presigned upload URL can be used, in seconds."
    )
    import_sources: tuple[ImportLocation, ...] = Field(
        (),
        description="Where datasets may be imported from, as a JSON list: s3://BUCKET/PREFIX/ or absolute folders.",
    )
    upload_abandon_hours: float = Field(24.0, gt=0, description="Unfinished uploads idle this long are removed.")
    drain_seconds: float = Field(10.0, ge=0, description="Time for calls in progress to end at a stop, in seconds.")
    log_level: LogLevel = Field("info", description="Least important messages to log: debug, info, warning or error.")
    log_json: bool | None = Field(
        None, description="Log JSON (true) or readable lines (false); unset: readable on a terminal only."
    )

    def full_database_url(self) -> str:
        """The database URL, its password included. Raises DatabaseUnavailable when there is none to be had."""
        if self.database_password_file is None:
            return self.database_url
        try:
            password = self.database_password_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise DatabaseUnavailable(
                f"the file that VISIONMESH_DATABASE_PASSWORD_FILE names cannot be read: {error}"
            ) from error
        return with_password(self.database_url, password)
