"""Calls of an object store that one process signs, which has its keys, and another makes, which has none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


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
# Those that carry bytes of the object.
SENDING = frozenset({Method.PUT, Method.PUT_PART})


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


# Gives the URL of a call. Raises AccessRefused, StoreUnavailable.
Sign = Callable[[ObjectCall], str]
