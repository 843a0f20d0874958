"""Calls of S3: an outage of the server is waited out for a while, and what botocore raises is put in our words."""

from __future__ import annotations

from typing import Any

import structlog
from botocore.exceptions import ClientError, ConnectionError, HTTPClientError, SSLError
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_delay, wait_exponential_jitter

from storage.objects.s3_errors import translated, without_signatures

FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 5.0
_PASSING_CODES = ("SlowDown", "RequestTimeout", "Throttling", "ThrottlingException", "TooManyRequests", "429")

logger = structlog.get_logger(__name__)


class S3Calls:
    """The calls of one client on one bucket. botocore repeats a call a few times; this goes on for longer."""

    def __init__(self, client: Any, bucket: str, outage_seconds: float) -> None:
        self._client = client
        self.bucket = bucket
        self._outage_seconds = outage_seconds

    def __call__(self, operation: str, key: str, **parameters: Any) -> Any:
        """Call ``operation`` (a method of boto3's client) about the object ``key``, waiting out an outage.

        Raises ObjectNotFound, InvalidKey, StoreUnavailable.
        """
        return self._call(operation, key, self._outage_seconds, parameters)

    def at_once(self, operation: str, key: str, **parameters: Any) -> Any:
        """The same without waiting: where nobody is helped by a late success."""
        return self._call(operation, key, 0.0, parameters)

    def _call(self, operation: str, key: str, seconds: float, parameters: dict[str, Any]) -> Any:
        trying = Retrying(
            retry=retry_if_exception(is_outage),
            stop=stop_after_delay(seconds),
            wait=wait_exponential_jitter(multiplier=FIRST_PAUSE_SECONDS, max=LONGEST_PAUSE_SECONDS),
            before_sleep=lambda state: _tell(state, operation, key),
            reraise=True,
        )
        with translated(self.bucket, key):
            return trying(getattr(self._client, operation), Bucket=self.bucket, **parameters)


def is_outage(error: BaseException) -> bool:
    """Whether the same call may succeed later: the server was out of reach, broken or too busy."""
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return status >= 500 or error.response.get("Error", {}).get("Code") in _PASSING_CODES
    return isinstance(error, ConnectionError | HTTPClientError) and not isinstance(error, SSLError)


def _tell(state: RetryCallState, operation: str, key: str) -> None:
    error = state.outcome.exception() if state.outcome is not None else None
    logger.warning(
        "object store away",
        operation=operation,
        key=key,
        waited=state.seconds_since_start,
        error=without_signatures(str(error)),
    )
