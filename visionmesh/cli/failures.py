"""How errors reach the person or script that called: text or JSON on stderr, and an exit code."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

import grpc

from visionmesh.errors import VisionMeshError

OK, FAILED, USAGE, NOT_FOUND, UNAUTHENTICATED, UNAVAILABLE, STOPPED, INTERRUPTED = 0, 1, 2, 3, 4, 5, 6, 130

EXIT_CODES_HELP = (
    "Exit codes: 0 done; 1 failure of the server, the job or the dataset; 2 wrong usage or an argument that the server "
    "refuses; 3 not found; 4 no or a wrong token; 5 the server or a framework is unavailable; 6 the job that was "
    "watched was stopped; 130 interrupted."
)

_BY_STATUS: Mapping[grpc.StatusCode, int] = {
    grpc.StatusCode.INVALID_ARGUMENT: USAGE,
    grpc.StatusCode.OUT_OF_RANGE: USAGE,
    grpc.StatusCode.NOT_FOUND: NOT_FOUND,
    grpc.StatusCode.UNAUTHENTICATED: UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED: UNAUTHENTICATED,
    grpc.StatusCode.UNAVAILABLE: UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED: UNAVAILABLE,
}


class CommandError(Exception):
    """Something went wrong on this side of the wire; ``reason`` names it as an ``ErrorReason`` would."""

    def __init__(self, reason: str, message: str, exit_code: int = FAILED) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.exit_code = exit_code


def exit_code_of(error: VisionMeshError) -> int:
    """The exit code for an error of the server."""
    return _BY_STATUS.get(error.code, FAILED)


def report(error: VisionMeshError | CommandError, *, as_json: bool, address: str = "", **more: str) -> None:
    """Write an error to stderr; ``more`` are further things to say of it, for example the image it concerns."""
    if as_json:
        print(json.dumps({"error": {**_document(error), **more}}, ensure_ascii=False), file=sys.stderr)
    else:
        print("\n".join(_lines(error, address, more)), file=sys.stderr)


def _document(error: VisionMeshError | CommandError) -> dict[str, Any]:
    if isinstance(error, CommandError):
        return {"reason": error.reason, "message": error.message, "metadata": {}, "violations": []}
    return {
        "code": error.code.name,
        "reason": error.reason or error.code.name,
        "message": error.message,
        "metadata": dict(error.metadata),
        "violations": [{"field": item.field, "description": item.description} for item in error.violations],
        "retry_seconds": error.retry_seconds,
    }


def _lines(error: VisionMeshError | CommandError, address: str, more: Mapping[str, str]) -> list[str]:
    prefix = "".join(f"{value}: " for value in more.values())
    if isinstance(error, CommandError):
        return [f"error: {prefix}{error.message}"]
    lines = [f"error: {prefix}{error.reason or error.code.name}: {error.message}"]
    lines += [f"  - {item.field}: {item.description}" for item in error.violations]
    lines += [f"  {name}: {value}" for name, value in sorted(error.metadata.items())]
    if error.retry_seconds is not None:
        lines.append(f"  try again in {error.retry_seconds:g} s")
    if error.code == grpc.StatusCode.UNAVAILABLE and not error.reason:
        lines.append(f"  is a mesh running at {address}? `visionmesh up` starts one; --address names another")
    if error.code == grpc.StatusCode.UNAUTHENTICATED:
        lines.append("  the token comes from --token, --token-file or the environment; see `visionmesh --help`")
    return lines
