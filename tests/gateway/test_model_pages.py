"""Pages of ListModels, over real gRPC."""

from __future__ import annotations

import grpc
import pytest

from gateway.paging import page_size
from rpc.errors import DomainError
from tests.gateway.calls import ALL, list_models, names, refused
from tests.gateway.conftest import Account, Gateway
from tests.gateway.stand_in import DETECTION, StandInTrainer, model
from tests.gateway.waiting import until


@pytest.mark.parametrize("size", [1, 2, 3, 8, 9, 1000])
async def test_pages_cover_everything_once(gateway: Gateway, alice: Account, size: int) -> None:
    seen: list[tuple[str, str]] = []
    token = ""
    while True:
        answer = await list_models(gateway, alice, page_size=size, page_token=token)
        assert answer.total_size == len(ALL)
        assert 0 < len(answer.models) <= size
        seen += names(answer)
        token = answer.next_page_token
        if not token:
            break
    assert seen == ALL


async def test_pages_stay_while_models_come(gateway: Gateway, alice: Account, counters: StandInTrainer) -> None:
    first = await list_models(gateway, alice, page_size=4)
    assert names(first) == ALL[:4]
    # The trainer starts anew with models before and after the place where the page ended.
    await counters.stop()
    counters.models += [model("aardvark"), model("count_aa")]
    before = gateway.fleet.trainers[0].description
    await counters.start()
    await until(lambda: gateway.fleet.trainers[0].healthy and gateway.fleet.trainers[0].description != before)
    second = await list_models(gateway, alice, page_token=first.next_page_token)
    assert names(second) == [("counters", "count_aa"), *ALL[4:]]
    assert second.total_size == len(ALL) + 2


@pytest.mark.parametrize("size", [-1, 1001, 2**31 - 1, -(2**31)])
async def test_page_size_out_of_range(gateway: Gateway, alice: Account, size: int) -> None:
    error = await refused(list_models(gateway, alice, page_size=size))
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert [item.field for item in error.violations] == ["page_size"]
    with pytest.raises(DomainError):
        page_size(size)


def test_page_size_in_range() -> None:
    assert [page_size(value) for value in (0, 1, 1000)] == [50, 1, 1000]


async def test_everything_wrong_is_named_at_once(gateway: Gateway, alice: Account) -> None:
    error = await refused(list_models(gateway, alice, page_size=-1, page_token="nonsense!", task_type=77))
    assert {item.field for item in error.violations} == {"page_size", "page_token", "task_type"}


async def test_a_token_of_other_filters_is_refused(gateway: Gateway, alice: Account) -> None:
    token = (await list_models(gateway, alice, page_size=2)).next_page_token
    for filters in ({"text": "c"}, {"framework": "counters"}, {"pretrained": False}, {"task_type": DETECTION}):
        error = await refused(list_models(gateway, alice, page_token=token, **filters))
        assert [item.field for item in error.violations] == ["page_token"]
    # Another page size is no other listing.
    assert names(await list_models(gateway, alice, page_token=token, page_size=1)) == ALL[2:3]
