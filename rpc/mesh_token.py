"""The secret of the mesh, as every server takes it: from the environment, or from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings


class MeshTokenSettings(BaseSettings):
    """Part of every server's settings. ``mesh_token`` is there in the end, wherever it came from."""

    mesh_token: SecretStr = Field(
        min_length=16, description="Secret that gateway and trainers share, at least 16 characters."
    )
    mesh_token_file: Path | None = Field(
        None, description="File that holds the mesh token, in place of VISIONMESH_MESH_TOKEN."
    )

    @model_validator(mode="before")
    @classmethod
    def _token_of_the_file(cls, given: dict[str, Any]) -> dict[str, Any]:
        file = given.get("mesh_token_file")
        if not file:
            return given
        if given.get("mesh_token"):
            raise ValueError("give VISIONMESH_MESH_TOKEN or VISIONMESH_MESH_TOKEN_FILE, not both")
        try:
            token = Path(file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"the file that VISIONMESH_MESH_TOKEN_FILE names cannot be read: {error}") from error
        return {**given, "mesh_token": token}
