"""Settings of an S3 store, from the environment (prefix ``VISIONMESH_S3_``): part of every server's settings."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

_MIB = 1 << 20


class S3Settings(BaseSettings):
    """How to reach S3, R2 or another server that speaks their language; used where the object store is ``s3://…``."""

    model_config = SettingsConfigDict(
        env_prefix="VISIONMESH_", env_ignore_empty=True, frozen=True, extra="ignore", hide_input_in_errors=True
    )

    s3_endpoint_url: str | None = Field(None, description="Server to talk to; unset: Amazon's for the region.")
    s3_public_endpoint_url: str | None = Field(
        None, description="The same server as clients reach it, for presigned URLs; unset: as the gateway reaches it."
    )
    s3_region: str = Field("auto", min_length=1, description="Region of the bucket; R2 says auto.")
    s3_access_key_id: str | None = Field(
        None, description="Id of the access key; unset: what boto3 finds (profile, instance role)."
    )
    s3_secret_access_key: SecretStr | None = Field(None, description="Secret of the access key.")
    s3_secret_access_key_file: Path | None = Field(
        None, description="File that holds the secret, in place of the secret."
    )
    s3_path_style: bool = Field(False, description="Put the bucket into the path of URLs, as most small servers need.")
    s3_part_bytes: int = Field(
        8 * _MIB,
        ge=5 * _MIB,
        le=512 * _MIB,
        description="Larger objects go in equal parts of this size, each held in memory, in bytes.",
    )
    s3_transfers: int = Field(8, ge=1, le=64, description="Parts of large objects on their way at once.")
    s3_connections: int = Field(
        64,
        ge=1,
        le=1024,
        description="Connections kept open to the server; best as many as transfers and downloads of a process.",
    )
    s3_connect_timeout_seconds: float = Field(5.0, gt=0, allow_inf_nan=False, description="Time to reach the server.")
    s3_read_timeout_seconds: float = Field(
        30.0, gt=0, allow_inf_nan=False, description="Longest silence of the server."
    )
    s3_attempts: int = Field(4, ge=1, le=20, description="Quick tries of a call that may succeed later.")
    s3_outage_seconds: float = Field(
        45.0, ge=0, allow_inf_nan=False, description="How long calls wait for a server that is away before they fail."
    )
    s3_create_bucket: bool = Field(False, description="Make the bucket at the start when it does not exist.")

    @model_validator(mode="after")
    def _key_is_whole(self) -> Self:
        secrets = (self.s3_secret_access_key is not None) + (self.s3_secret_access_key_file is not None)
        if secrets > 1:
            raise ValueError("give the secret access key or the file that holds it, not both")
        if (self.s3_access_key_id is not None) != bool(secrets):
            raise ValueError("the id and the secret of the access key go together")
        return self

    def s3_secret(self) -> str | None:
        """The secret of the access key. Raises OSError when its file cannot be read."""
        if self.s3_secret_access_key_file is not None:
            return self.s3_secret_access_key_file.read_text(encoding="utf-8").strip()
        return self.s3_secret_access_key.get_secret_value() if self.s3_secret_access_key is not None else None
