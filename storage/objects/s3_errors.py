"""What botocore raises, in the words of this package."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

from storage.objects.errors import InvalidKey, ObjectNotFound, StoreUnavailable

# HEAD answers have no body, so their code is the HTTP status.
_NOT_FOUND = ("NoSuchKey", "404", "NotFound")
_SIGNATURE = re.compile(r"\?[^\s\"']*X-Amz-[^\s\"']*")
_ADVICE = {
    "NoSuchBucket": "it does not exist; make it, correct VISIONMESH_OBJECT_STORE, or set VISIONMESH_S3_CREATE_BUCKET",
    "AccessDenied": "the access key may not do that; check its rights on the bucket",
    "403": "the access key may not do that; check its rights on the bucket",
    "InvalidAccessKeyId": "the server does not know the access key; check VISIONMESH_S3_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "the secret is wrong; check VISIONMESH_S3_SECRET_ACCESS_KEY",
    "AuthorizationHeaderMalformed": "the region is wrong; check VISIONMESH_S3_REGION",
    "PermanentRedirect": "the bucket lies in another region; check VISIONMESH_S3_REGION",
}


def without_signatures(text: str) -> str:
    """botocore's words, without the queries of presigned URLs, which are secrets as long as they last."""
    return _SIGNATURE.sub("", text)


@contextmanager
def translated(bucket: str, key: str) -> Iterator[None]:
    """Raise ObjectNotFound, InvalidKey or StoreUnavailable in place of botocore's errors."""
    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in _NOT_FOUND:
            raise ObjectNotFound(key) from error
        if code in ("PreconditionFailed", "412"):
            raise StoreUnavailable(f"the object {key!r} was replaced while it was read") from error
        if code in ("KeyTooLongError", "KeyTooLong"):
            raise InvalidKey(key, "is too long") from error
        raise StoreUnavailable(f"bucket {bucket!r}: {_ADVICE.get(code, f'the server answered {code}')}") from error
    except (BotoCoreError, HTTPClientError) as error:
        raise StoreUnavailable(f"bucket {bucket!r}: {without_signatures(str(error))}") from error
