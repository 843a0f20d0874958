"""The environment of run agents."""

from __future__ import annotations

import os

# What opens the trainer servers and the object store, and is no agent's affair.
_SECRETS = (
    "VISIONMESH_MESH_TOKEN",
    "VISIONMESH_MESH_TOKEN_FILE",
    "VISIONMESH_S3_ACCESS_KEY_ID",
    "VISIONMESH_S3_SECRET_ACCESS_KEY",
    "VISIONMESH_S3_SECRET_ACCESS_KEY_FILE",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
)


def agent_environment() -> dict[str, str]:
    """This process's environment as agents get it: each has the token of its run in place of all other credentials."""
    return {name: value for name, value in os.environ.items() if name not in _SECRETS}
