"""What holds for every test."""

from __future__ import annotations

import re
from typing import Any

import pytest

from rpc.collector import spare_what_is_there


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Have the garbage collector pass over the tests and all that they import: millions of objects, which it would
    look through again and again, and with every training that asks for a collection."""
    spare_what_is_there()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep together what shares processes: the tests of a file, and those of all files that use a backend's mesh."""
    from xdist.scheduler import LoadFileScheduling

    scheduling = LoadFileScheduling(config, log)
    file_of = scheduling._split_scope

    def together(nodeid: str) -> str:
        backend = re.match(r"tests/end_to_end/.*\[(embedded|postgresql and s3)\b", nodeid)
        return f"end to end, {backend[1]}" if backend else str(file_of(nodeid))

    scheduling._split_scope = together
    return scheduling
