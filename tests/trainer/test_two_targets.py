"""Agents that know two gateways: they speak to one that answers, and go to the other when it is gone."""

from __future__ import annotations

import pytest

from tests.trainer.fake_gateway import FakeGateway
from tests.trainer.run_place import RunPlace
from trainer.settings import TrainerSettings


async def test_an_agent_goes_to_the_other_gateway_when_one_is_gone(place: RunPlace) -> None:
    first, second = place.gateway, FakeGateway()
    second.events = first.events  # both stand over one database
    await second.start()
    place.launcher = place.new_launcher(mesh_target=f"{first.target}, {second.target}")
    place.start("run", epochs=1000, step_seconds=0.02)
    await first.until(lambda: first.payloads("run", "metric"))
    used, other = (first, second) if first.hellos else (second, first)
    assert not other.hellos
    await used.stop()
    told = len(first.events["run"])
    await first.until(lambda: other.hellos and len(first.events["run"]) > told)
    # Back again, and the other one gone: so it goes on.
    await used.start()
    await other.stop()
    told = len(first.events["run"])
    await first.until(lambda: len(first.events["run"]) > told)
    place.launcher.stop("run", kill=False)
    await place.ended("run")
    epochs = [metric.epoch for metric in first.payloads("run", "metric")]
    assert epochs == list(range(1, len(epochs) + 1)) and first.gaps == second.gaps == []
    await second.stop()


@pytest.mark.parametrize("wrong", ["", "gateway", "a:1,b", "a:1,,b:2"])
def test_each_address_of_the_setting_is_checked(wrong: str) -> None:
    with pytest.raises(ValueError, match="is not host:port"):
        TrainerSettings(data_folder=".", object_store=".", mesh_token="x" * 16, mesh_target=wrong)
