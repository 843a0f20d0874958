"""What the C library does with freed memory, seen in a process of its own: it cannot be told otherwise afterwards."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mallopt is glibc's")

# Page faults of a thread that uses and frees a block of so many KiB again and again.
_FAULTS = """
import resource, sys
from concurrent.futures import ThreadPoolExecutor
from rpc.allocator import return_large_blocks

return_large_blocks()

def use(times):
    for _ in range(times):
        bytearray(int(sys.argv[1]) << 10)

with ThreadPoolExecutor(1) as threads:
    threads.submit(use, 10).result()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    threads.submit(use, 100).result()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
_PAGES_PER_MIB = 256


def faults(size_kib: int) -> int:
    done = subprocess.run([sys.executable, "-c", _FAULTS, str(size_kib)], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.parametrize("size_kib", [100, 1024])
def test_blocks_as_large_as_a_chunk_are_used_again(size_kib: int) -> None:
    assert faults(size_kib) < 10 * _PAGES_PER_MIB


def test_blocks_as_large_as_a_part_are_given_back() -> None:
    assert faults(8 << 10) > 90 * 8 * _PAGES_PER_MIB
