"""What holds for every test."""

from __future__ import annotations

import pytest

from rpc.collector import spare_what_is_there


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Have the garbage collector pass over the tests and all that they import: millions of objects, which it would
    look through again and again, and with every training that asks for a collection."""
    spare_what_is_there()
