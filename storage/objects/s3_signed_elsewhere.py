"""boto3's client without a key: every request goes to a URL that another process signed for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from storage.objects.s3_client import s3_client
from storage.objects.s3_settings import S3Settings
from storage.objects.s3_writer import DIGEST_METADATA
from storage.objects.signing import Method, ObjectCall, Sign

# Where the call waits, from its parameters until its request is made, in the context that botocore hands around.
_CONTEXT = "visionmesh_call"


def s3_client_signed_elsewhere(settings: S3Settings, prefix: str, sign: Sign) -> Any:
    """A client of the server that the settings name, for the calls of ``Method``; what else it can do goes out
    unsigned. ``prefix`` is what the store puts before its keys.

    Whoever signs may call the server by another name than the settings do: the request then goes where these say, with
    the other's name as its host. botocore repeats a request with the URL that it has.
    """
    client = s3_client(settings, signed=False)
    methods = {client.meta.method_to_api_mapping[method]: method for method in Method}

    def note(params: Mapping[str, Any], model: Any, context: dict[str, Any], **_: Any) -> None:
        context[_CONTEXT] = _call(methods[model.name], params, prefix)

    def address(params: dict[str, Any], context: Mapping[str, Any], **_: Any) -> None:
        url = sign(context[_CONTEXT])
        signed, own = urlsplit(url), urlsplit(params["url"])
        if settings.s3_endpoint_url is not None and own.netloc != signed.netloc:
            params["headers"]["Host"] = signed.netloc
            url = urlunsplit((own.scheme, own.netloc, signed.path, signed.query, ""))
        params["url"] = url

    for name in methods:
        client.meta.events.register(f"provide-client-params.s3.{name}", note)
        client.meta.events.register_last(f"before-call.s3.{name}", address)
    return client


def _call(method: Method, params: Mapping[str, Any], prefix: str) -> ObjectCall:
    return ObjectCall(
        method,
        params["Key"].removeprefix(prefix),
        upload_id=params.get("UploadId", ""),
        part_number=params.get("PartNumber", 0),
        content_md5=params.get("ContentMD5", ""),
        sha256=params.get("Metadata", {}).get(DIGEST_METADATA, ""),
    )
