"""Python's garbage collector leaves alone what a server begins with, and still finds what comes after it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SPARE = """
import gc, json, weakref
from rpc.collector import search_rarely, spare_what_is_there

class Node: pass

def cycle():
    node = Node()
    node.itself = node
    return weakref.ref(node)

before = cycle()
kept = [Node() for _ in range(1000)]
spare_what_is_there()
search_rarely()
searched = len(gc.get_objects())
after = cycle()
gc.collect()
print(json.dumps({"spared": gc.get_freeze_count(), "searched": searched, "gone": [before() is None, after() is None]}))
"""


def test_what_is_there_is_spared_and_what_comes_later_is_collected() -> None:
    ended = subprocess.run([sys.executable, "-c", SPARE], cwd=ROOT, capture_output=True, text=True, check=True)
    found = json.loads(ended.stdout)
    assert found["gone"] == [True, True]
    assert found["spared"] > 1000 > found["searched"]
