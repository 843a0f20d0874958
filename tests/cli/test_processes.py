"""An embedded mesh as processes: it starts, survives, refuses and stops as promised. Its servers are stand-ins."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.cli.stand_in_parts import make_checkout
from visionmesh.cli.processes import TRAINERS, EmbeddedMesh, MeshError, find_checkout
from visionmesh.client import Client

REPOSITORY = Path(__file__).resolve().parents[2]
STUBBORN = "import signal\n\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nsignal.signal = lambda *given: None\n"


@pytest.fixture(autouse=True)
def _stand_ins_find_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.delenv("VISIONMESH_HOME", raising=False)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return make_checkout(tmp_path / "checkout")


@pytest.fixture
def mesh(tmp_path: Path, home: Path) -> Iterator[EmbeddedMesh]:
    told: list[str] = []
    with EmbeddedMesh(tmp_path / "data", 0, home, on_message=told.append) as started:
        yield started


def until(happened: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def answers(mesh: EmbeddedMesh) -> bool:
    with Client(mesh.address, mesh.token, timeout=5) as client:
        return client.frameworks().frameworks[0].framework == "timm"


def test_mesh_serves_and_ends_trainers_before_the_gateway(tmp_path: Path, home: Path) -> None:
    mesh = EmbeddedMesh(tmp_path / "data", 0, home)
    mesh.start()
    assert answers(mesh)
    pids = mesh.pids()
    mesh.stop()
    assert (tmp_path / "data" / "objects.ended").read_text().split() == [*["trainer"] * len(TRAINERS), "gateway"]
    assert not any(alive(pid) for pid in pids.values())
    assert "gateway serves" in (tmp_path / "data" / "logs" / "gateway.log").read_text()


def test_secrets_are_for_their_owner_and_ports_are_kept(tmp_path: Path, home: Path) -> None:
    data = tmp_path / "data"
    with EmbeddedMesh(data, 0, home):
        first = json.loads((data / "mesh.json").read_text())
        secret = (data / "mesh-token").read_text()
    assert stat.S_IMODE((data / "mesh-token").stat().st_mode) == 0o600
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    with EmbeddedMesh(data, 0, home):
        assert json.loads((data / "mesh.json").read_text()) == first
        assert (data / "mesh-token").read_text() == secret
    with socket.socket() as other:
        other.bind(("127.0.0.1", first["ports"]["mesh"]))
        other.listen()
        with EmbeddedMesh(data, 0, home):
            assert json.loads((data / "mesh.json").read_text())["ports"]["mesh"] != first["ports"]["mesh"]


@pytest.mark.parametrize("part", ["gateway", *TRAINERS])
def test_part_that_dies_is_started_again(tmp_path: Path, home: Path, part: str) -> None:
    told: list[str] = []
    with EmbeddedMesh(tmp_path / "data", 0, home, on_message=told.append) as mesh:
        pid = mesh.pids()[part]
        os.kill(pid, signal.SIGKILL)
        until(lambda: mesh.pids()[part] != pid and (tmp_path / "data" / "run" / f"{part}.json").exists())
        assert told == [
            f"{part} ended (signal 9) and starts again in 0.5 s; its log: {tmp_path / 'data' / 'logs' / part}.log"
        ]
        # At the address it had, though any port was asked for.
        assert answers(mesh)


def test_second_mesh_in_a_folder_is_refused(tmp_path: Path, home: Path, mesh: EmbeddedMesh) -> None:
    with pytest.raises(MeshError, match=f"another mesh runs in .*data .process {os.getpid()}"):
        EmbeddedMesh(tmp_path / "data", 0, home).start()
    assert answers(mesh)


def test_port_in_use_is_named_and_nothing_is_left(tmp_path: Path, home: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        mesh = EmbeddedMesh(tmp_path / "data", port, home)
        with pytest.raises(MeshError, match=f"port {port} of 127.0.0.1 is in use"):
            mesh.start()
    assert mesh.pids() == {}
    with EmbeddedMesh(tmp_path / "data", port, home) as again:
        assert again.address == f"127.0.0.1:{port}"


def test_part_that_fails_at_start_is_shown_with_its_log(tmp_path: Path) -> None:
    home = make_checkout(tmp_path / "checkout", trainer_timm='raise SystemExit("no torch here")\n')
    mesh = EmbeddedMesh(tmp_path / "data", 0, home)
    with pytest.raises(MeshError, match=r"trainer_timm ended with exit code 1.*\n.*no torch here"):
        mesh.start()
    assert not any(alive(pid) for pid in mesh.pids().values())


def test_checkout_is_found_from_within_and_missed_elsewhere(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home / "gateway")
    assert find_checkout() == home
    monkeypatch.setenv("VISIONMESH_HOME", str(tmp_path))
    with pytest.raises(MeshError, match=f"no checkout of VisionMesh in {tmp_path}"):
        find_checkout()
    assert find_checkout(home) == home


def run_up(data: Path, home: Path) -> subprocess.Popen[str]:
    options = ["--json", "--port", "0", "--data-folder", str(data), "--home", str(home)]
    return subprocess.Popen(
        [sys.executable, "-m", "visionmesh.cli.main", "up", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ready(process: subprocess.Popen[str]) -> dict[str, str]:
    assert process.stdout is not None
    document: dict[str, str] = json.loads(process.stdout.readline())
    return document


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_up_says_when_it_is_ready_and_stops_on_a_signal(tmp_path: Path, home: Path, number: signal.Signals) -> None:
    process = run_up(tmp_path / "data", home)
    told = ready(process)
    token = Path(told["token_file"]).read_text()
    with Client(told["address"], token) as client:
        assert client.frameworks().frameworks
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")
    assert (tmp_path / "data" / "objects.ended").read_text().split() == [*["trainer"] * len(TRAINERS), "gateway"]


def test_up_stopped_while_starting_leaves_nothing(tmp_path: Path) -> None:
    home = make_checkout(tmp_path / "checkout", gateway="import time\n\ntime.sleep(60)\n")
    process = run_up(tmp_path / "data", home)
    pid_file = tmp_path / "data" / "run" / "gateway.pid"
    until(lambda: pid_file.exists() and pid_file.read_text().endswith("\n"))
    pid = int(pid_file.read_text())
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 0
    assert not alive(pid)


def test_second_ctrl_c_kills_what_does_not_end(tmp_path: Path) -> None:
    code = STUBBORN + "from tests.cli.stand_in_parts import trainer\n\ntrainer()\n"
    home = make_checkout(tmp_path / "checkout", trainer_timm=code)
    process = run_up(tmp_path / "data", home)
    ready(process)
    process.send_signal(signal.SIGINT)
    time.sleep(1)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=10)
    assert process.returncode == 0
    assert not list((tmp_path / "data" / "run").glob("*.pid"))


def test_next_up_ends_what_a_killed_one_left(tmp_path: Path, home: Path) -> None:
    process = run_up(tmp_path / "data", home)
    ready(process)
    left = [int(file.read_text()) for file in (tmp_path / "data" / "run").glob("*.pid")]
    ports = (tmp_path / "data" / "mesh.json").read_text()
    process.kill()
    process.communicate()
    assert len(left) == 1 + len(TRAINERS) and all(alive(pid) for pid in left)
    told: list[str] = []
    with EmbeddedMesh(tmp_path / "data", 0, home, on_message=told.append) as mesh:
        assert not any(alive(pid) for pid in left)
        assert told == [f"ended the {part} of an earlier mesh that was killed" for part in ("gateway", *TRAINERS)]
        assert (tmp_path / "data" / "mesh.json").read_text() == ports
        assert answers(mesh)
