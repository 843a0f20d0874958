"""What a run agent and its training process need to know about the place they run in."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

# The token of the run: the agent reads it from its environment and passes it on to nobody.
RUN_TOKEN_VARIABLE = "VISIONMESH_RUN_TOKEN"


class AgentSettings(BaseModel):
    """Lies in the run folder as ``settings.json``."""

    model_config = ConfigDict(frozen=True)

    adapter_path: str
    object_store: str
    mesh_target: str
    dataset_cache: Path
    dataset_cache_bytes: int
    checkpoint_cache: Path
    checkpoint_cache_bytes: int
    threads: int
    # Which of the launcher's slots the run has, from 0, and the GPU that belongs to it, as CUDA_VISIBLE_DEVICES calls
    # it; empty: whatever the machine has.
    slot: int = 0
    device: str = ""
    parallel_downloads: int = 32
    pretrained_folder: Path | None = None
    heartbeat_seconds: float = 2.0
    # How often to look at what the training takes of its machine; 0: never.
    resource_seconds: float = 5.0
    max_message_bytes: int = 64 << 20
    # How long a training that was asked to stop may take over its batch before it is killed.
    stop_grace_seconds: float = 120.0
    # How long a gateway that refuses the agent is asked again: its database may just be set up anew.
    refusal_seconds: float = 30.0
    log_level: str = "INFO"
    log_json: bool | None = None
