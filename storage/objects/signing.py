"""Calls of an object store that one process signs, which has its keys, and another makes, which has none."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from storage.objects.digest import is_sha256

MAX_PARTS = 10_000
_MAX_UPLOAD_ID_CHARACTERS = 1024
_MD5_BYTES = 16


class Method(StrEnum):
    """What is done to an object; values are names of boto3's."""

    GET = "get_object"
    HEAD = "head_object"
    PUT = "put_object"
    CREATE_UPLOAD = "create_multipart_upload"
    PUT_PART = "upload_part"
    COMPLETE_UPLOAD = "complete_multipart_upload"
    ABORT_UPLOAD = "abort_multipart_upload"


READING = frozenset({Method.GET, Method.HEAD})
# What a call must tell beside its object.
_NEEDED: Mapping[Method, frozenset[str]] = {
    Method.GET: frozenset(),
    Method.HEAD: frozenset(),
    Method.PUT: frozenset({"content_md5"}),
    Method.CREATE_UPLOAD: frozenset(),
    Method.PUT_PART: frozenset({"upload_id", "part_number", "content_md5"}),
    Method.COMPLETE_UPLOAD: frozenset({"upload_id"}),
    Method.ABORT_UPLOAD: frozenset({"upload_id"}),
}
# What it may tell, too.
_NOTING = frozenset({Method.PUT, Method.CREATE_UPLOAD})


@dataclass(frozen=True)
class ObjectCall:
    """One call about the object ``key``, as far as its signature is bound to it.

    ``upload_id`` and ``part_number`` are those of a multipart upload. ``content_md5`` is the MD5 of the body (base64),
    without which a call that carries bytes could be made with others; ``sha256`` is noted with the object.
    """

    method: Method
    key: str
    upload_id: str = ""
    part_number: int = 0
    content_md5: str = ""
    sha256: str = ""

    def objection(self) -> str:
        """Why the call is none that could be made, as a whole sentence; empty: it is one."""
        told = {name for name in ("upload_id", "part_number", "content_md5") if getattr(self, name)}
        if missing := _NEEDED[self.method] - told:
            return f"The call must tell {', '.join(sorted(missing))}."
        surplus = told - _NEEDED[self.method] | ({"sha256"} if self.sha256 and self.method not in _NOTING else set())
        if surplus:
            return f"The call has nothing to do with {', '.join(sorted(surplus))}."
        if len(self.upload_id) > _MAX_UPLOAD_ID_CHARACTERS or not self.upload_id.isprintable():
            return "The upload_id is none."
        if self.part_number and not 1 <= self.part_number <= MAX_PARTS:
            return f"The part_number must be 1 to {MAX_PARTS}."
        if self.content_md5 and not _is_md5(self.content_md5):
            return "The content_md5 is no MD5 in base64."
        if self.sha256 and not is_sha256(self.sha256):
            return "The sha256 is no SHA-256 in lowercase hexadecimal."
        return ""


# Gives the URL of a call. Raises AccessRefused, StoreUnavailable.
Sign = Callable[[ObjectCall], str]


def _is_md5(text: str) -> bool:
    try:
        return len(b64decode(text, validate=True)) == _MD5_BYTES
    except (binascii.Error, ValueError):
        return False
