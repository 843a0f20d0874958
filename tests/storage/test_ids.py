from __future__ import annotations

import re
import time

from storage.database.ids import new_id


def test_an_id_is_a_prefix_and_a_lower_case_ulid() -> None:
    assert re.fullmatch(r"ds_[0-7][0-9a-hjkmnp-tv-z]{25}", new_id("ds"))


def test_ids_are_unique_and_sort_by_time() -> None:
    ids = []
    for _ in range(5):
        ids.append(new_id("job"))
        time.sleep(0.002)
    assert ids == sorted(ids)
    assert len({new_id("job") for _ in range(1000)}) == 1000
