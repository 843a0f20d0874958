"""What validations found, by class and by image, as clients read it."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Sequence
from pathlib import Path

import grpc
import pytest

from gateway.training import validation
from gateway.training.validation_objects import ValidationObjects
from rpc.errors import DomainError
from storage.objects import keys
from storage.objects.digest import sha256_bytes
from storage.objects.errors import StoreUnavailable
from storage.objects.object_images import ObjectImage, ObjectMatch
from storage.objects.validation_images import ValidationImage, encode
from tests.gateway.calls import refused
from tests.gateway.conftest import Account
from tests.gateway.job_agent import TRAINING, Connection, Script
from tests.gateway.job_client import JobClient
from tests.gateway.job_fixtures import Mesh
from tests.gateway.waiting import until
from visionmesh.errors import from_rpc
from visionmesh.mesh.v1 import run_pb2
from visionmesh.v1 import checkpoint_pb2, event_pb2, inference_pb2, training_pb2

LARGEST = training_pb2.VALIDATION_IMAGE_ORDER_LARGEST_LOSS_FIRST
SMALLEST = training_pb2.VALIDATION_IMAGE_ORDER_SMALLEST_LOSS_FIRST
CLASSES = ("cat", "dog", "owl")
KEEP_ALL = checkpoint_pb2.CheckpointRetention(every_n_epochs=1)


def rows(count: int = 7, classes: int = 3) -> list[ValidationImage]:
    """Images whose class and prediction take turns at different speed; the loss rises and falls."""
    return [
        ValidationImage(
            f"val/{number:02}.png",
            number % classes,
            ((number // 2 % classes, 0.75), ((number // 2 + 1) % classes, 0.25)),
            float((number * 5) % 7),
        )
        for number in range(count)
    ]


def publish(
    mesh: Mesh,
    script: Script,
    epoch: int,
    accuracy: float = 0.5,
    images: Sequence[ValidationImage | ObjectImage] | None = None,
    class_names: Sequence[str] = CLASSES,
) -> run_pb2.RunEvent:
    """A checkpoint whose images lie in the store, as an agent leaves them."""
    event = script.checkpoint(epoch, accuracy)
    data = encode(epoch, class_names, rows() if images is None else images)
    key = keys.validation_images("default", script.run.job_id, event.checkpoint.id)
    mesh.store.put(key, data)
    event.checkpoint.validation_images.CopyFrom(
        checkpoint_pb2.StoredObject(storage_path=key, size_bytes=len(data), sha256=sha256_bytes(data))
    )
    return event


def validated(script: Script, epoch: int, class_names: Sequence[str] = CLASSES, *, matrix: bool) -> run_pb2.RunEvent:
    scores = [event_pb2.ClassScore(label=name, precision=0.5, recall=0.25, f1=0.75, support=3) for name in class_names]
    counts = [event_pb2.ConfusionRow(counts=[row] * len(class_names)) for row in range(len(class_names))]
    result = event_pb2.ValidationResult(
        epoch=epoch, classes=scores, confusion_matrix=counts if matrix else [], metrics={"accuracy": epoch / 8}
    )
    return script.event(TRAINING, validation=result)


async def results(client: JobClient, job_id: str, **fields: object) -> training_pb2.ListValidationResultsResponse:
    request = training_pb2.ListValidationResultsRequest(job_id=job_id, **fields)  # type: ignore[arg-type]
    return await client.stub.ListValidationResults(request, metadata=client.metadata)


async def images(client: JobClient, job_id: str, **fields: object) -> training_pb2.ListValidationImagesResponse:
    request = training_pb2.ListValidationImagesRequest(job_id=job_id, **fields)  # type: ignore[arg-type]
    return await client.stub.ListValidationImages(request, metadata=client.metadata)


def stored(mesh: Mesh) -> list[str]:
    """The checkpoints whose images lie in the store."""
    return [info.key.rpartition("/")[2].partition(".")[0] for info in mesh.store.list(keys.VALIDATION_IMAGES)]


async def only_stored(mesh: Mesh, checkpoint_ids: set[str]) -> None:
    await until(lambda: set(stored(mesh)) == checkpoint_ids, 10)


async def test_results_are_listed_by_epoch_with_their_classes_and_matrix(mesh: Mesh, ada: JobClient) -> None:
    script, agent = await mesh.running(ada, epochs=5)
    job_id = script.run.job_id
    assert await results(ada, job_id) == training_pb2.ListValidationResultsResponse()  # nothing yet
    await agent.send(*(validated(script, epoch, matrix=True) for epoch in (1, 2, 3)))
    await agent.send(script.checkpoint(1, 0.5), script.checkpoint(2, 0.9), script.checkpoint(3, 0.7))
    every = await results(ada, job_id)
    assert [item.epoch for item in every.results] == [1, 2, 3] and every.total_size == 3
    assert (list(every.class_names), every.best_epoch, every.next_page_token) == (list(CLASSES), 2, "")
    one = every.results[1]
    assert one.sequence > every.results[0].sequence > 0
    assert [(item.label, item.precision, item.recall, item.f1, item.support) for item in one.classes] == [
        (name, 0.5, 0.25, 0.75, 3) for name in CLASSES
    ]
    assert [list(row.counts) for row in one.confusion_matrix] == [[0, 0, 0], [1, 1, 1], [2, 2, 2]]
    assert dict(one.metrics) == {"accuracy": 0.25}

    assert [item.epoch for item in (await results(ada, job_id, epoch=3)).results] == [3]
    assert (await results(ada, job_id, epoch=4)).total_size == 0
    first = await results(ada, job_id, page_size=2)
    rest = await results(ada, job_id, page_size=2, page_token=first.next_page_token)
    assert ([item.epoch for item in first.results], [item.epoch for item in rest.results]) == ([1, 2], [3])
    error = await refused(results(ada, job_id, epoch=1, page_token=first.next_page_token))
    assert error.violations[0].field == "page_token"
    error = await refused(results(ada, job_id, epoch=-1, page_size=-1))
    assert {item.field for item in error.violations} == {"epoch", "page_size"}


async def test_a_page_of_large_results_ends_early_and_goes_on(
    mesh: Mesh, ada: JobClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    script, agent = await mesh.running(ada, epochs=5)
    job_id = script.run.job_id
    await agent.send(*(validated(script, epoch, matrix=True) for epoch in (1, 2, 3, 4, 5)))
    size = (await results(ada, job_id)).results[0].ByteSize()
    monkeypatch.setattr(validation, "PAGE_BYTES", int(2.5 * size))
    token = ""
    pages: list[list[int]] = []
    while not pages or token:
        page = await results(ada, job_id, page_token=token)
        assert page.total_size == 5
        pages.append([item.epoch for item in page.results])
        token = page.next_page_token
    assert pages == [[1, 2], [3, 4], [5]]


async def test_the_matrix_of_many_classes_is_counted_from_the_images(mesh: Mesh, ada: JobClient) -> None:
    names = [f"class {number}" for number in range(101)]
    script, agent = await mesh.running(ada)
    job_id = script.run.job_id
    found = rows(300, 101)
    await agent.send(validated(script, 1, names, matrix=False), validated(script, 2, names, matrix=False))
    await agent.send(publish(mesh, script, 2, images=found, class_names=names))
    [one] = (await results(ada, job_id, epoch=2)).results
    expected = [[0] * 101 for _ in names]
    for image in found:
        expected[image.label_id][image.predictions[0][0]] += 1
    assert [list(row.counts) for row in one.confusion_matrix] == expected
    assert not (await results(ada, job_id)).results[1].confusion_matrix  # of all epochs they would be too much
    assert not (await results(ada, job_id, epoch=1)).results[0].confusion_matrix  # its images are not kept


async def test_images_are_filtered_sorted_and_paged(mesh: Mesh, ada: JobClient) -> None:
    script, agent = await mesh.running(ada)
    job_id = script.run.job_id
    event = publish(mesh, script, 1)
    await agent.send(event)
    every = await images(ada, job_id)
    assert (every.checkpoint_id, every.epoch, every.total_size) == (event.checkpoint.id, 1, 7)
    for shown, row in zip(every.images, rows(), strict=True):
        assert (shown.path, shown.label, shown.loss) == (row.path, CLASSES[row.label_id], row.loss)
        assert shown.correct == row.correct
        assert [(item.label, item.label_id, item.confidence) for item in shown.predictions] == [
            (CLASSES[label], label, sure) for label, sure in row.predictions
        ]

    async def numbers(**fields: object) -> list[int]:
        token, found, page = "", [], None
        while page is None or token:
            page = await images(ada, job_id, page_size=2, page_token=token, **fields)
            assert len(page.images) <= 2
            found += [int(image.path[4:6]) for image in page.images]
            token = page.next_page_token
        assert page.total_size == len(found)
        return found

    # Truths 0 1 2 0 1 2 0, predictions 0 0 1 1 2 2 0, losses 0 5 3 1 6 4 2.
    assert await numbers() == [0, 1, 2, 3, 4, 5, 6]
    assert await numbers(correct=True) == [0, 5, 6]
    assert await numbers(correct=False) == [1, 2, 3, 4]
    assert await numbers(label="cat") == [0, 3, 6]
    assert await numbers(predicted_label="dog") == [2, 3]
    assert await numbers(label="cat", predicted_label="dog", correct=False) == [3]
    assert await numbers(label="dog", correct=True) == []
    assert await numbers(order=LARGEST) == [4, 1, 5, 2, 6, 3, 0]
    assert await numbers(order=SMALLEST, correct=False) == [3, 2, 1, 4]

    token = (await images(ada, job_id, page_size=2, correct=True)).next_page_token
    for others in ({"correct": False}, {}, {"correct": True, "order": LARGEST}, {"correct": True, "label": "cat"}):
        error = await refused(images(ada, job_id, page_token=token, **others))
        assert (error.reason, error.violations[0].field) == ("INVALID_REQUEST", "page_token")
    error = await refused(images(ada, job_id, label="cow", predicted_label="x" * 5000))
    assert [item.field for item in error.violations] == ["label", "predicted_label"]
    error = await refused(images(ada, job_id, order=9, page_size=1001))
    assert {item.field for item in error.violations} == {"order", "page_size"}


async def test_images_of_objects_tell_what_became_of_each(
    mesh: Mesh, ada: JobClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    upright, turned = (1.0, 2.0, 30.0, 40.0), (4.0, 0.0, 9.0, 5.0, 5.0, 9.0, 0.0, 4.0)
    hit = ObjectMatch(0, 0, 0.9, 0.8, upright, upright)
    miss = ObjectMatch(1, None, None, None, upright, None)
    alarm = ObjectMatch(None, 1, 0.5, None, None, turned)
    wrong = ObjectMatch(0, 2, 0.75, 0.5, turned, upright)
    kept = [
        ObjectImage("val/0.png", 640, 480, (hit, hit)),
        ObjectImage("val/1.png", 640, 480, (hit, miss)),
        ObjectImage("val/2.png", 640, 480, ()),
        ObjectImage("val/3.png", 64, 48, (wrong, alarm)),
    ]
    script, agent = await mesh.running(ada)
    job_id = script.run.job_id
    names = [*CLASSES, *(f"class {number}" for number in range(98))]
    await agent.send(
        validated(script, 1, names, matrix=False), publish(mesh, script, 1, images=kept, class_names=names)
    )

    every = (await images(ada, job_id)).images
    assert [(item.path, item.width, item.height, item.correct, item.loss) for item in every] == [
        ("val/0.png", 640, 480, True, 0),
        ("val/1.png", 640, 480, False, 1),
        ("val/2.png", 640, 480, True, 0),
        ("val/3.png", 64, 48, False, 2.25),
    ]
    assert not any(item.label or item.predictions for item in every)
    box = inference_pb2.Box(x_min=1, y_min=2, x_max=30, y_max=40)
    around = inference_pb2.Box(x_min=0, y_min=0, x_max=9, y_max=9)
    corners = [inference_pb2.Point(x=x, y=y) for x, y in ((4, 0), (9, 5), (5, 9), (0, 4))]
    assert every[1].objects[1] == training_pb2.ObjectMatch(
        outcome=training_pb2.OBJECT_OUTCOME_MISS, label="dog", truth_box=box
    )
    assert [*every[3].objects] == [
        training_pb2.ObjectMatch(
            outcome=training_pb2.OBJECT_OUTCOME_WRONG_CLASS,
            label="cat",
            predicted_label="owl",
            confidence=0.75,
            iou=0.5,
            truth_box=around,
            predicted_box=box,
            truth_corners=corners,
        ),
        training_pb2.ObjectMatch(
            outcome=training_pb2.OBJECT_OUTCOME_FALSE_ALARM,
            predicted_label="dog",
            confidence=0.5,
            predicted_box=around,
            predicted_corners=corners,
        ),
    ]

    async def numbers(**fields: object) -> list[int]:
        return [int(item.path[4]) for item in (await images(ada, job_id, **fields)).images]

    assert await numbers(correct=False, order=LARGEST) == [3, 1] and await numbers(correct=True) == [0, 2]
    assert await numbers(label="cat") == [0, 1, 3] and await numbers(label="cat", correct=False) == [3]
    assert await numbers(predicted_label="dog") == [3] and await numbers(label="cat", predicted_label="dog") == []

    # With one more row and column for what was missed, and what was found where nothing is.
    [result] = (await results(ada, job_id, epoch=1)).results
    counts = {
        (row, column): count
        for row, line in enumerate(result.confusion_matrix)
        for column, count in enumerate(line.counts)
        if count
    }
    assert counts == {(0, 0): 3, (0, 2): 1, (1, 101): 1, (101, 1): 1}

    # A page that would become too large ends early.
    monkeypatch.setattr(validation, "PAGE_BYTES", every[0].ByteSize() + every[1].ByteSize())
    first = await images(ada, job_id)
    rest = await images(ada, job_id, page_token=first.next_page_token)
    assert [len(first.images), len(rest.images), rest.next_page_token] == [2, 2, ""]


async def test_later_pages_stay_with_the_checkpoint_of_the_first(mesh: Mesh, ada: JobClient) -> None:
    script, agent = await mesh.running(ada, epochs=4, checkpoint_retention=KEEP_ALL)
    job_id = script.run.job_id
    first_event = publish(mesh, script, 1, 0.5)
    await agent.send(first_event)
    page = await images(ada, job_id, page_size=3)
    await agent.send(publish(mesh, script, 2, 0.4))
    better = publish(mesh, script, 3, 0.4)
    await agent.send(better)
    rest = await images(ada, job_id, page_size=5, page_token=page.next_page_token)
    assert rest.checkpoint_id == first_event.checkpoint.id and [image.path for image in rest.images] == [
        f"val/{number:02}.png" for number in (3, 4, 5, 6)
    ]
    # Once they are no longer kept, the page says so instead of going on with others.
    await agent.send(publish(mesh, script, 4, 0.9))
    error = await refused(images(ada, job_id, page_token=page.next_page_token, page_size=5))
    assert error.reason == "VALIDATION_IMAGES_NOT_KEPT"


async def test_those_of_the_best_and_the_last_checkpoint_are_kept(mesh: Mesh, ada: JobClient) -> None:
    script, agent = await mesh.running(ada, epochs=5, checkpoint_retention=KEEP_ALL)
    job_id = script.run.job_id
    ids: dict[int, str] = {}
    for epoch, accuracy, kept in ((1, 0.5, {1}), (2, 0.8, {2}), (3, 0.7, {2, 3}), (4, 0.6, {2, 4}), (5, 0.9, {5})):
        event = publish(mesh, script, epoch, accuracy)
        ids[epoch] = event.checkpoint.id
        await agent.send(event)
        listed = (await ada.checkpoints(job_id)).checkpoints
        assert {item.epoch for item in listed if item.HasField("validation_images")} == kept
        await only_stored(mesh, {ids[each] for each in kept})
    assert (await images(ada, job_id)).epoch == 5
    error = await refused(images(ada, job_id, checkpoint_id=ids[3]))
    assert (error.reason, error.code) == ("VALIDATION_IMAGES_NOT_KEPT", grpc.StatusCode.NOT_FOUND)
    assert error.metadata["checkpoint_id"] == ids[3]


async def test_after_a_roll_back_what_is_kept_is_that_of_the_new_attempt(mesh: Mesh, ada: JobClient) -> None:
    script, agent = await mesh.running(ada, epochs=4, checkpoint_retention=KEEP_ALL)
    job_id = script.run.job_id
    events = [publish(mesh, script, epoch, accuracy) for epoch, accuracy in ((1, 0.5), (2, 0.9), (3, 0.7))]
    for event in events:
        await agent.send(event)
    await agent.send(script.end("FAILED", "TRAINING_ERROR"))
    one, two, three = (event.checkpoint.id for event in events)
    await ada.start(job_id, resume=True, checkpoint_id=one)
    run = await mesh.run_of(job_id, attempt=2)
    # Epoch 1 is best and last again, and what it said of images was dropped when it was neither.
    assert (await refused(images(ada, job_id))).reason == "VALIDATION_IMAGES_NOT_KEPT"
    assert (await images(ada, job_id, checkpoint_id=three)).epoch == 3  # until the new attempt has its own
    again, agent = Script(run), await mesh.agent(run)
    new = publish(mesh, again, 2, 0.4)
    await agent.send(again.start(), new)
    await only_stored(mesh, {new.checkpoint.id})
    # The best one's are gone: the last one's are shown, and the answer says so.
    page = await images(ada, job_id)
    assert (page.checkpoint_id, (await ada.get(job_id)).best_checkpoint_id) == (new.checkpoint.id, one)
    assert (await refused(images(ada, job_id, checkpoint_id=two))).reason == "VALIDATION_IMAGES_NOT_KEPT"


async def test_without_a_checkpoint_or_images_the_error_says_which(mesh: Mesh, ada: JobClient, ben: JobClient) -> None:
    script, agent = await mesh.running(ada)
    job_id = script.run.job_id
    error = await refused(images(ada, job_id))
    assert (error.reason, error.metadata["state"]) == ("NO_CHECKPOINT", "RUNNING")
    event = script.checkpoint(1)
    await agent.send(event)
    assert (await refused(images(ada, job_id))).reason == "VALIDATION_IMAGES_NOT_KEPT"
    for unknown in ("ckpt_none", "a\0b", "x" * 9000):
        assert (await refused(images(ada, job_id, checkpoint_id=unknown))).reason == "CHECKPOINT_NOT_FOUND"
    other, beside = await mesh.running(ada)
    await beside.send(publish(mesh, other, 1))
    theirs = (await images(ada, other.run.job_id)).checkpoint_id
    assert (await refused(images(ada, job_id, checkpoint_id=theirs))).reason == "CHECKPOINT_NOT_FOUND"
    for call in (images(ben, other.run.job_id), images(ben, other.run.job_id, checkpoint_id=theirs)):
        assert (await refused(call)).reason == "JOB_NOT_FOUND"
    assert (await refused(results(ben, job_id))).reason == "JOB_NOT_FOUND"


@pytest.mark.parametrize("damage", ["gone", "cut", "other", "longer", "unreadable"])
async def test_damaged_images_are_named_by_digest(mesh: Mesh, ada: JobClient, damage: str) -> None:
    script, agent = await mesh.running(ada)
    event = publish(mesh, script, 1)
    reference = event.checkpoint.validation_images
    key, data = reference.storage_path, mesh.store.get(reference.storage_path)
    if damage == "unreadable":  # as it was published, and yet no rows
        data = gzip.compress(b"{}\n")
        mesh.store.put(key, data)
        reference.size_bytes, reference.sha256 = len(data), sha256_bytes(data)
    await agent.send(event)
    match damage:
        case "gone":
            mesh.store.delete(key)
        case "cut":
            mesh.store.put(key, data[:-4])
        case "other":
            mesh.store.put(key, encode(1, CLASSES, []))
        case "longer":
            mesh.store.put(key, data + b"\0" * (3 << 20))
    error = await refused(images(ada, script.run.job_id))
    assert (error.reason, error.code) == ("STORAGE_CORRUPT", grpc.StatusCode.FAILED_PRECONDITION)
    assert error.metadata["sha256"] == reference.sha256 in error.message and error.metadata["storage_path"] == key
    mesh.store.put(key, data)
    if damage != "unreadable":  # a failure is not remembered
        assert (await images(ada, script.run.job_id)).total_size == 7


async def test_images_that_lie_elsewhere_are_not_taken(mesh: Mesh, ada: JobClient) -> None:
    script, agent = await mesh.running(ada)
    mesh.store.put("manifests/precious.json", b"{}")
    event = publish(mesh, script, 1)
    event.checkpoint.validation_images.storage_path = "manifests/precious.json"
    await agent.post(event)
    error = from_rpc(await agent.refusal())
    assert error.violations[0].field == "batch.events[0].checkpoint.validation_images.storage_path"
    assert (await refused(images(ada, script.run.job_id))).reason == "NO_CHECKPOINT"
    assert mesh.store.get("manifests/precious.json") == b"{}"


async def test_what_a_killed_gateway_left_is_swept_and_what_an_agent_will_tell_is_not(
    mesh: Mesh, ada: JobClient, alice: Account, pets: str
) -> None:
    async def job(name: str) -> tuple[Script, Connection, run_pb2.RunEvent]:
        script, agent = await mesh.running(ada)
        return script, agent, publish(mesh, script, 1)

    recorded, agent, event = await job("recorded")
    await agent.send(event, recorded.end())
    superseded = publish(mesh, recorded, 9)  # as if its removal had been cut off
    running, _, untold = await job("running")  # uploaded, its event on the way
    assert len(stored(mesh)) == 3
    await mesh.reopen()
    await only_stored(mesh, {event.checkpoint.id, untold.checkpoint.id})
    assert superseded.checkpoint.id not in stored(mesh)
    await mesh.deliver(running.run, untold)
    assert (await images(mesh.client(alice, pets), running.run.job_id)).total_size == 7


def objects_of(mesh: Mesh, **options: int) -> ValidationObjects:
    return ValidationObjects(mesh.store, **options)


async def test_a_store_that_is_away_costs_nothing_but_time(mesh: Mesh, ada: JobClient, tmp_path: Path) -> None:
    script, agent = await mesh.running(ada, epochs=4)
    first, second = publish(mesh, script, 1, 0.5), publish(mesh, script, 2, 0.9)
    await agent.send(first)
    folder, away = tmp_path / "objects", tmp_path / "away"
    folder.rename(away)
    reference = first.checkpoint.validation_images
    named = {"storage_path": reference.storage_path, "size_bytes": reference.size_bytes, "sha256": reference.sha256}
    with pytest.raises(StoreUnavailable):
        await mesh.gateway.validation_objects.load(named)
    await agent.send(second)  # supersedes the first one's, which cannot be removed now
    assert (await ada.get(script.run.job_id)).best_checkpoint_id == second.checkpoint.id
    await mesh.gateway.garbage.collect()
    away.rename(folder)
    assert set(stored(mesh)) == {first.checkpoint.id, second.checkpoint.id}
    await only_stored(mesh, {second.checkpoint.id})  # the note of it is still there
    assert (await images(ada, script.run.job_id)).total_size == 7


async def test_an_object_is_read_once_and_the_least_recently_used_goes(mesh: Mesh, ada: JobClient) -> None:
    references = []
    for count in (5, 6, 7):
        key, data = keys.validation_images("p", "j", str(count)), encode(1, CLASSES, rows(count))
        mesh.store.put(key, data)
        references.append({"storage_path": key, "size_bytes": len(data), "sha256": sha256_bytes(data)})
    unused = objects_of(mesh)
    one, same = await asyncio.gather(unused.load(references[2]), unused.load(references[2]))
    assert one is same
    objects = objects_of(mesh, cache_bytes=int(2.2 * one.memory_bytes))
    first, second, third = references
    kept = await objects.load(first)
    assert await objects.load(first) is kept
    await objects.load(second)
    await objects.load(first)
    await objects.load(third)
    for reference in references:
        mesh.store.delete(str(reference["storage_path"]))
    assert await objects.load(first) is kept
    assert len(await objects.load(third)) == 7
    with pytest.raises(DomainError, match="it is missing"):
        await objects.load(second)
