"""boto3's client, as the settings want it."""

from __future__ import annotations

from typing import Any

import boto3
from botocore import UNSIGNED
from botocore.config import Config

from storage.objects.errors import StoreUnavailable
from storage.objects.s3_settings import S3Settings


def s3_client(settings: S3Settings, endpoint_url: str | None = None, *, signed: bool = True) -> Any:
    """A client of the server that the settings name, or of ``endpoint_url``; not ``signed``, it needs no key.

    Raises StoreUnavailable.
    """
    try:
        secret = settings.s3_secret()
    except OSError as error:
        raise StoreUnavailable(f"the file of the S3 secret cannot be read: {error}") from error
    try:
        return boto3.session.Session().client(
            "s3",
            endpoint_url=endpoint_url or settings.s3_endpoint_url,
            region_name=settings.s3_region,
            aws_access_key_id=settings.s3_access_key_id,
            aws_secret_access_key=secret,
            config=Config(
                # Without it botocore presigns in the old way, which binds no header and which R2 does not know.
                signature_version="s3v4" if signed else UNSIGNED,
                s3={"addressing_style": "path" if settings.s3_path_style else "auto"},
                connect_timeout=settings.s3_connect_timeout_seconds,
                read_timeout=settings.s3_read_timeout_seconds,
                retries={"mode": "standard", "total_max_attempts": settings.s3_attempts},
                # Callers' threads and our own share the connections.
                max_pool_connections=settings.s3_connections,
                # R2 and small servers do not know Amazon's newer checksums; Content-MD5 they all do.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )
    except ValueError as error:
        raise StoreUnavailable(f"the settings of S3 cannot be used: {error}") from error
