"""Annotations that are broken or hostile, through the real upload: told by name, and the gateway goes on."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator

import grpc
import pytest
from PIL import Image

from annotations.limits import MAX_CLASSES
from gateway.datasets.inventory import UploadLimits
from storage.database.engine import Database
from storage.objects.local import LocalObjectStore
from tests.gateway.conftest import Account
from tests.gateway.datasets import annotated
from tests.gateway.datasets.conftest import Client, serving
from tests.gateway.datasets.pictures import spec
from visionmesh.v1 import dataset_pb2

READY = dataset_pb2.DATASET_STATE_READY
FAILED = dataset_pb2.DATASET_STATE_FAILED
ERROR = dataset_pb2.PROBLEM_SEVERITY_ERROR
COCO = dataset_pb2.DATASET_FORMAT_COCO
DICE = dataset_pb2.DATASET_FORMAT_DICE
YOLO = dataset_pb2.DATASET_FORMAT_YOLO
VOC = dataset_pb2.DATASET_FORMAT_VOC
ANY = dataset_pb2.DATASET_FORMAT_UNSPECIFIED


def changed(files: dict[str, bytes], path: str, data: bytes) -> dict[str, bytes]:
    assert path in files
    return {**files, path: data}


def halved() -> dict[str, bytes]:
    files = annotated.dice()
    whole = files["annotations.json"]
    return changed(files, "annotations.json", whole[: len(whole) // 2])


BOMB = b"""<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;"><!ENTITY d "&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;">]>
<annotation><filename>1.png</filename><object><name>&d;</name></object></annotation>"""


def bombs() -> dict[str, bytes]:
    return {path: BOMB if path.endswith(".xml") else data for path, data in annotated.voc().items()}


PYTHON_TAGS = b"train: images/train\nval: images/val\nnames: !!python/object/apply:os.system ['touch /tmp/owned']\n"


@pytest.mark.parametrize(
    ("format", "files", "path"),
    [
        (DICE, halved(), "annotations.json"),
        (DICE, changed(annotated.dice(), "annotations.json", b""), "annotations.json"),
        (DICE, changed(annotated.dice(), "annotations.json", b"[" * 100_000), "annotations.json"),
        (DICE, changed(annotated.dice(), "annotations.json", b"[1, 2]"), "annotations.json"),
        (COCO, changed(annotated.coco(), "annotations/instances_train.json", b"\xff\xfe\x00{"), "annotations/"),
        (YOLO, changed(annotated.yolo(), "data.yaml", PYTHON_TAGS), "data.yaml"),
        (VOC, bombs(), "Annotations/"),
    ],
    ids=["cut in half", "empty", "deep", "a list", "no text", "python tags", "entity bomb"],
)  # fmt: skip
async def test_what_cannot_be_read_fails_by_its_name(
    ada: Client, format: int, files: dict[str, bytes], path: str
) -> None:
    dataset = await ada.analysed(spec("bad", format=format), files)
    assert (dataset.state, dataset.failure.reason) == (FAILED, "DATASET_NOT_TRAINABLE")
    problems = await ada.problems(dataset.id)
    assert problems[0].severity == ERROR
    assert any(problem.path.startswith(path) for problem in problems)
    # Undetected it fails too, and in no other way.
    detected = await ada.analysed(spec("bad", format=ANY), files)
    assert (detected.state, detected.failure.reason) == (FAILED, "DATASET_NOT_TRAINABLE")


@pytest.mark.parametrize("word", ["nan", "inf", "-inf", "1e999", "0x1", ""])
async def test_numbers_that_are_none_cost_their_object_and_no_more(ada: Client, word: str) -> None:
    files = annotated.yolo()
    files["labels/train/1.txt"] = f"0 {word} 0.5 0.1 0.1\n1 0.5 0.5 0.2 0.2\n".encode()
    dataset = await ada.analysed(spec(format=YOLO), files)
    assert (dataset.state, dataset.object_count) == (READY, 8)
    problems = await ada.problems(dataset.id)
    assert [problem.path for problem in problems] == ["labels/train/1.txt"]


async def test_not_a_number_in_json_costs_its_object_and_no_more(ada: Client) -> None:
    files = annotated.dice()
    content = json.loads(files["annotations.json"])
    content["annotations"][0]["bbox"] = [float("nan"), 1, 2, 3]
    content["annotations"][1]["bbox"] = [1, 1, 1e300, float("inf")]
    files["annotations.json"] = json.dumps(content).encode()
    dataset = await ada.analysed(spec(format=DICE), files)
    # JSON knows no NaN; a reader may refuse the file for it, and must not take it for a number.
    assert dataset.state == FAILED or dataset.object_count <= 8
    assert await ada.problems(dataset.id)


@pytest.fixture
async def roomy(
    database: Database, store: LocalObjectStore, alice: Account, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Client]:
    """A client of a service that takes more and larger files than the other tests need."""
    monkeypatch.setattr("tests.gateway.datasets.conftest.LIMITS", UploadLimits())
    async with serving(database, store) as (_, address), grpc.aio.insecure_channel(address) as channel:
        yield Client(channel, alice)


async def test_a_hundred_thousand_classes_are_too_many_and_as_many_as_allowed_are_not(roomy: Client) -> None:
    files = annotated.dice()
    content = json.loads(files["annotations.json"])
    for count, state in ((100_000, FAILED), (MAX_CLASSES, READY)):
        content["categories"] = [{"id": place, "name": f"class {place}"} for place in range(1, count + 1)]
        files["annotations.json"] = json.dumps(content).encode()
        dataset = await roomy.analysed(spec(format=DICE), files)
        assert dataset.state == state
        problems = await roomy.problems(dataset.id)
        assert len(problems) <= 1001
        if state == FAILED:
            assert [problem.kind for problem in problems] == ["too_many_classes"]
            assert str(MAX_CLASSES) in problems[0].message.replace(",", "")
        else:
            assert dataset.num_classes == MAX_CLASSES


async def test_too_many_class_folders_are_refused(roomy: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.datasets.folder_analysis.MAX_CLASSES", 3)
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG")
    files = {f"train/{label}/1.png": file.getvalue() for label in "abcd"}
    dataset = await roomy.analysed(spec(format=DICE), files)
    assert dataset.state == FAILED
    assert "too_many_classes" in [problem.kind for problem in await roomy.problems(dataset.id)]
