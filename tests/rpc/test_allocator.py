"""What a gateway does with freed memory, seen in processes of their own: the C library cannot be told twice."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.tooling.imports import ROOT

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mallopt is glibc's")

MIB = 1 << 20
PAGES_PER_MIB = 256

# How much ``work`` adds to a count, in a thread, as in a gateway. Once before, so that all it loads is loaded.
_SCRIPT = """
import resource
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rpc.allocator import return_large_blocks

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

return_large_blocks()
{work}

with ThreadPoolExecutor(1) as threads:
    threads.submit(work, {before}).result()
    before = {count}()
    threads.submit(work, {times}).result()
    print({count}() - before)
"""

USE_BLOCKS = """
def work(times):
    for _ in range(times):
        bytearray({size} << 10)
"""
HOLD_PARTS = """
def work(times):
    held = [bytearray(b"x" * (8 << 20)) for _ in range(times)]
"""
DECODE = """
import io
from PIL import Image
from gateway.datasets.images import measure, use_small_blocks

use_small_blocks()
file = io.BytesIO()
Image.linear_gradient("L").resize((1024, 768)).convert("RGB").save(file, "PNG")  # 3 MiB of pixels

def work(times):
    for _ in range(times):
        measure("a.png", file, 1 << 30)
"""


def added(count: str, work: str, *, before: int, times: int) -> int:
    script = _SCRIPT.format(count=count, work=work, before=before, times=times)
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.parametrize("size_kib", [100, 1024])
def test_blocks_as_large_as_a_chunk_are_used_again(size_kib: int) -> None:
    assert added("faults", USE_BLOCKS.format(size=size_kib), before=10, times=100) < 10 * PAGES_PER_MIB


def test_images_are_decoded_into_memory_that_was_used_before() -> None:
    assert added("faults", DECODE, before=3, times=20) < 10 * PAGES_PER_MIB


def test_blocks_as_large_as_a_part_are_given_back() -> None:
    assert added("resident", HOLD_PARTS, before=1, times=8) < 4 * MIB
