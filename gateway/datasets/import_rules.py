"""From where a dataset may be imported."""

from __future__ import annotations

import os
from collections.abc import Sequence

from rpc.errors import DomainError, invalid_request
from storage.objects import keys
from storage.objects.open import absolute
from storage.objects.s3_settings import S3Settings
from storage.objects.source import S3_SCHEME, Source, open_source, source_location
from visionmesh.errors import Violation

_NOTHING = "nothing: the setting import_sources of the gateway is empty"


class ImportRules:
    """The setting ``import_sources``: locations as ``source_location`` spells them, below which all may be imported.

    The gateway's own object store is out of bounds: everybody's datasets lie there. Blocks on a disk.
    """

    def __init__(self, allowed: Sequence[str] = (), object_store: str = "", s3: S3Settings | None = None) -> None:
        """``object_store`` is the setting of that name."""
        self._allowed = tuple(allowed)
        self._store = absolute(object_store).rstrip("/") + "/" if object_store else ""
        self._s3 = s3

    def check(self, prefix: str) -> str:
        """The location that a client's ``prefix`` names. Raises INVALID_REQUEST, IMPORT_NOT_ALLOWED."""
        if not prefix:
            raise invalid_request([Violation("prefix", "is required: s3://BUCKET/PREFIX/ or the path of a folder")])
        try:
            location = source_location(prefix)
        except ValueError as error:
            raise invalid_request([Violation("prefix", f"{prefix!r} {error}")]) from error
        self._allowing(location)
        return location

    def open(self, location: str) -> Source:
        """Open a location. Raises IMPORT_NOT_ALLOWED when it is no longer allowed, StoreUnavailable."""
        denied = "" if self._store.startswith(S3_SCHEME) else self._store
        return open_source(location, self._allowing(location), denied, self._s3 or S3Settings())

    def _allowing(self, location: str) -> str:
        """The entry of the setting that allows a location. Raises IMPORT_NOT_ALLOWED."""
        real = _real(location)
        allowing = next((entry for entry in self._allowed if real.startswith(_real(entry))), None)
        if allowing is None:
            raise self._refused(location, "It lies outside of what may be imported")
        if any(real.startswith(own) or own.startswith(real) for own in self._own()):
            raise self._refused(location, "It holds objects of VisionMesh itself")
        return allowing

    def _own(self) -> Sequence[str]:
        if self._store.startswith(S3_SCHEME):
            return [self._store + prefix for prefix in keys.OWN_PREFIXES]
        return [_real(self._store)] if self._store else []

    def _refused(self, location: str, why: str) -> DomainError:
        allowed = ", ".join(self._allowed)
        return DomainError(
            "IMPORT_NOT_ALLOWED",
            f"Nothing may be imported from {location!r}. {why}; allowed is {allowed or _NOTHING}.",
            metadata={"prefix": location, "allowed": allowed},
        )


def _real(location: str) -> str:
    """A folder behind all symbolic links, with ``/`` at its end; a location in a bucket as it is."""
    if location.startswith(S3_SCHEME):
        return location
    return os.path.realpath(location).rstrip("/") + "/"
