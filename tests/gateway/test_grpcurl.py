"""What a person sees who calls with grpcurl."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from pathlib import Path

import grpc

from tests.gateway.conftest import Account, Gateway


async def grpcurl(*arguments: str) -> tuple[int, str, str]:
    """Run the real grpcurl; gives its exit code, standard output and standard error."""
    beside = Path(sys.executable).with_name("grpcurl")
    binary = str(beside) if beside.exists() else shutil.which("grpcurl")
    assert binary is not None, "grpcurl comes with the dev extra"
    process = await asyncio.create_subprocess_exec(
        binary, "-plaintext", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), 30)
    return process.returncode or 0, out.decode(), err.decode()


async def test_grpcurl_prints_models_and_error_details_as_json(gateway: Gateway, alice: Account) -> None:
    method = "visionmesh.v1.RegistryService/ListModels"
    header = f"authorization: Bearer {alice.token}"
    status, out, err = await grpcurl("-H", header, "-d", '{"framework": "boxes"}', gateway.address, method)
    assert status == 0, err
    assert [item["task_types"] for item in json.loads(out)["models"]] == [["TASK_TYPE_OBJECT_DETECTION"]] * 2

    wrong = '{"page_size": -1, "page_token": "nonsense"}'
    status, _, err = await grpcurl("-format-error", "-H", header, "-d", wrong, gateway.address, method)
    assert status != 0
    shown = json.loads(err)
    assert shown["code"] == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    info, bad = shown["details"]
    assert info["@type"] == "type.googleapis.com/google.rpc.ErrorInfo"
    assert (info["reason"], info["domain"]) == ("INVALID_REQUEST", "visionmesh")
    assert info["metadata"]["violation_count"] == "2"
    assert bad["@type"] == "type.googleapis.com/google.rpc.BadRequest"
    assert [item["field"] for item in bad["field_violations"]] == ["page_size", "page_token"]
