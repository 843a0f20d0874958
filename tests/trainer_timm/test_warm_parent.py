"""A training that was forked from the warm parent equals one with an interpreter of its own, to the last bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.trainer.fake_gateway import RUN_TOKEN, FakeGateway
from tests.trainer.run_place import RunPlace
from tests.trainer_timm.helpers import DEFAULTS, SIZE
from tests.trainer_timm.test_exact_resume import EVERYTHING
from trainer.adapter import TrainingDataset
from visionmesh.mesh.v1 import run_pb2
from visionmesh.v1 import event_pb2

ADAPTER = "trainer_timm.adapter:TimmAdapter"


def _spec(place: RunPlace, run_id: str) -> run_pb2.RunSpec:
    spec = place.spec(run_id, epochs=3)
    spec.model_name, spec.image_size, spec.batch_size, spec.learning_rate, spec.seed = "test_resnet", SIZE, 8, 1e-3, 7
    spec.ClearField("config")
    spec.config.update({**DEFAULTS, **EVERYTHING})
    return spec


def _told(gateway: FakeGateway, run_id: str) -> list[Any]:
    """All that depends on the computation: metrics, validations, and the digests of checkpoints."""
    metrics: list[event_pb2.MetricPoint] = gateway.payloads(run_id, "metric")
    for point in metrics:
        point.ClearField("time")
        del point.extra_metrics["samples_per_second"]
    checkpoints = [(item.epoch, item.digest, item.is_best) for item in gateway.payloads(run_id, "checkpoint")]
    assert len(metrics) == 3 and checkpoints
    return [metrics, gateway.payloads(run_id, "validation"), checkpoints]


async def test_a_forked_training_equals_one_with_its_own_interpreter(textures: TrainingDataset, tmp_path: Path) -> None:
    gateway = FakeGateway()
    await gateway.start()
    images = {sample.path: (sample.label_id, (textures.root / sample.path).read_bytes()) for sample in textures.samples}
    place = RunPlace(tmp_path, gateway, ADAPTER, images, textures.class_names)
    try:
        place.launcher.start(_spec(place, "forked"), RUN_TOKEN)
        place.new_launcher(warm_parent=False).start(_spec(place, "fresh"), RUN_TOKEN)
        await _completed(place, "forked")
        # No trace of the one before may change it.
        place.launcher.start(_spec(place, "forked again"), RUN_TOKEN)
        await _completed(place, "forked again")
        await _completed(place, "fresh")
    finally:
        await place.close()
        await gateway.stop()
    assert '"by": "fresh interpreter"' in place.folder("fresh").agent_log.read_text()
    expected = _told(gateway, "fresh")
    for run_id in ("forked", "forked again"):
        assert '"by": "warm parent"' in place.folder(run_id).agent_log.read_text()
        assert _told(gateway, run_id) == expected


async def _completed(place: RunPlace, run_id: str) -> None:
    end = await place.ended(run_id, 120)
    assert end.outcome == event_pb2.ATTEMPT_OUTCOME_COMPLETED, end
