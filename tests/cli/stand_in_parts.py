"""Stand-ins for the server processes of a mesh, for a checkout made by a test: ``python -m tests.cli.stand_in_parts``
is not run by itself, the ``__main__`` of such a checkout calls ``gateway`` or ``trainer``."""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path
from types import FrameType

from tests.cli.refusing import TOKEN
from tests.cli.stand_in import serve
from visionmesh.cli.processes import TRAINERS

_CHECKOUT = {
    "gateway": "from tests.cli.stand_in_parts import gateway\n\ngateway()\n",
    **dict.fromkeys(TRAINERS, "from tests.cli.stand_in_parts import trainer\n\ntrainer()\n"),
}


def make_checkout(home: Path, **mains: str) -> Path:
    """Write a checkout whose servers are stand-ins, or the code given by module."""
    for module, code in {**_CHECKOUT, **mains}.items():
        (home / module).mkdir(parents=True)
        # Without it the real package of this name, further down the path, would be run.
        (home / module / "__init__.py").touch()
        (home / module / "__main__.py").write_text(code, encoding="utf-8")
    return home


def gateway() -> None:
    """Serve the contract's stand-in where the environment says, until SIGTERM."""
    server = serve(os.environ["VISIONMESH_PUBLIC_ADDRESS"], complete=True)
    Path(os.environ["VISIONMESH_TOKEN_FILE"]).write_text(TOKEN, encoding="utf-8")
    _serve_until_told({"public": server.address, "mesh": os.environ["VISIONMESH_MESH_ADDRESS"]}, "gateway")
    server.stop().wait()


def trainer() -> None:
    """Pretend to serve, until SIGTERM."""
    assert os.environ["VISIONMESH_STOP_RUNS_ON_EXIT"] == "true"
    _serve_until_told({"address": os.environ["VISIONMESH_LISTEN_ADDRESS"]}, "trainer")


def _serve_until_told(addresses: dict[str, str], name: str) -> None:
    told = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        told.set()

    signal.signal(signal.SIGTERM, stop)
    Path(os.environ["VISIONMESH_ADDRESS_FILE"]).write_text(json.dumps(addresses), encoding="utf-8")
    print(f"{name} serves", flush=True)
    while not told.wait(0.05):
        continue
    with Path(os.environ["VISIONMESH_OBJECT_STORE"] + ".ended").open("a", encoding="utf-8") as ended:
        ended.write(f"{name}\n")
