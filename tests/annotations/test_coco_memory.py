"""Reading a large annotations file takes no more memory than a small one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.annotations.coco_content import annotation, image
from tests.annotations.folder_source import save_image

ROOT = Path(__file__).parents[2]
ANNOTATIONS = 12_500
# A note that the reader skips makes the file large, so that the test need not check millions of objects.
NOTE = "n" * 7_800
MEBIBYTE = 1 << 20

# Prints by how many bytes the most memory that the process ever held has grown, and what was read.
READ = """
import sys
from pathlib import Path
from annotations.draft import Draft
from annotations.formats.{module} import {reader}
from tests.annotations.folder_source import FolderSource

def most() -> int:
    # Not getrusage: that remembers the test runner which this process was forked from.
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024

folder = Path(sys.argv[1])
with Draft(Path(sys.argv[2])) as draft:
    source = FolderSource(folder)
    before = most()
    {reader}(source, draft)
    objects = sum(len(image.objects) for image in draft.images())
    print(most() - before, objects, len(draft.problems))
"""


@pytest.mark.parametrize(("module", "reader"), [("coco", "read_coco"), ("dice", "read_dice")])
def test_a_hundred_megabytes_are_read_in_forty(tmp_path: Path, module: str, reader: str) -> None:
    folder = tmp_path / "dataset"
    images = 500
    save_image(folder / "a.png")
    for number in range(images):
        (folder / f"{number}.png").hardlink_to(folder / "a.png")
    (folder / "a.png").unlink()
    path = folder / "annotations.json"
    write_large(path, images, nested=module == "dice")
    assert path.stat().st_size > 95 * MEBIBYTE

    ran = subprocess.run(
        [sys.executable, "-c", READ.format(module=module, reader=reader), folder, tmp_path / "draft"],
        cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True,
    )  # fmt: skip

    grown, objects, problems = map(int, ran.stdout.split())
    assert (objects, problems) == (ANNOTATIONS, 0)
    assert grown < 40 * MEBIBYTE


def write_large(path: Path, images: int, *, nested: bool) -> None:
    """Write image by image: flat with the images behind the annotations, or nested with few images of many objects."""
    polygon = [[value % 40 for value in range(40)] + [40, 1, 1, 40]]
    found = json.dumps(annotation(1, 1, 3, class_id=3, segmentation=polygon, note=NOTE))
    each = ANNOTATIONS // images
    with path.open("w") as file:
        if nested:
            file.write('{"images": [')
            for number in range(images):
                listed = json.dumps(image(number, f"{number}.png"))[:-1]
                file.write(f'{", " if number else ""}{listed}, "annotations": [{", ".join([found] * each)}]}}')
            file.write('], "classes": [{"id": 3, "name": "cat"}]}')
        else:
            file.write('{"annotations": [')
            for number in range(images):
                of_image = found.replace('"image_id": 1', f'"image_id": {number}')
                file.write((", " if number else "") + ", ".join([of_image] * each))
            file.write('], "images": ')
            file.write(json.dumps([image(number, f"{number}.png") for number in range(images)]))
            file.write(', "categories": [{"id": 3, "name": "cat"}]}')
