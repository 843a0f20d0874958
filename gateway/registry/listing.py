"""Filters and pages of a catalogue in memory."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

from gateway.paging import DEFAULT_PAGE_SIZE
from rpc.errors import invalid_request
from storage.database.errors import InvalidPageToken
from storage.database.pages import Page, decode_page_token, encode_page_token
from visionmesh.errors import Violation
from visionmesh.v1 import registry_pb2


def matching(models: Iterable[registry_pb2.Model], request: registry_pb2.ListModelsRequest) -> list[registry_pb2.Model]:
    """The models that pass the request's filters, in the order given. ``framework`` is not looked at."""
    text = request.text.casefold()
    return [
        model
        for model in models
        if (not request.task_type or request.task_type in model.task_types)
        and text in model.model_name.casefold()
        and (not request.HasField("pretrained") or request.pretrained == bool(model.pretrained_tags))
    ]


def after_token(request: registry_pb2.ListModelsRequest) -> tuple[str, str] | None:
    """The (framework, model_name) that the page starts after; None for the first page.

    Raises DomainError INVALID_REQUEST when the token was not given for these filters.
    """
    if not request.page_token:
        return None
    try:
        framework, model_name = decode_page_token(request.page_token, (str, str), _scope(request))
    except InvalidPageToken as error:
        raise invalid_request([Violation("page_token", f"{error}; leave it out to get the first page")]) from error
    return framework, model_name


def page_of(models: list[registry_pb2.Model], request: registry_pb2.ListModelsRequest) -> Page[registry_pb2.Model]:
    """The page that the request asks for, of ``models`` that match it, sorted by (framework, model_name)."""
    after = after_token(request)
    start = bisect_right(models, after, key=_key) if after is not None else 0
    items = models[start : start + (request.page_size or DEFAULT_PAGE_SIZE)]
    more = start + len(items) < len(models)
    token = encode_page_token(_key(items[-1]), _scope(request)) if more and items else ""
    return Page(items, token, len(models))


def _key(model: registry_pb2.Model) -> tuple[str, str]:
    return model.framework, model.model_name


def _scope(request: registry_pb2.ListModelsRequest) -> list[object]:
    pretrained = request.pretrained if request.HasField("pretrained") else None
    return ["models", request.task_type, request.framework, request.text.casefold(), pretrained]
