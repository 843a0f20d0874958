"""A training script as someone who knows timm writes it: ``python -m benchmarks.timm_script SETTINGS``, a JSON object.

It uses timm's factories, decodes each image once and keeps it, as small data sets are trained, validates and writes a
checkpoint after every epoch, and knows nothing of VisionMesh. Prints JSON, a line when it begins and one an epoch.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import timm
import torch
from PIL import Image
from timm.data.config import resolve_data_config
from timm.data.transforms_factory import create_transform
from timm.optim import create_optimizer_v2  # type: ignore[attr-defined]  # its public name, not re-exported by `as`
from timm.scheduler.scheduler_factory import create_scheduler_v2
from torch.utils.data import DataLoader, Dataset

Item = tuple[torch.Tensor, int]


class Folder(Dataset[Item]):
    """Class folders, each image decoded once."""

    def __init__(self, root: Path, transform: Any) -> None:
        labels = {name: index for index, name in enumerate(sorted(path.name for path in root.iterdir()))}
        self._samples = [(path, labels[path.parent.name]) for path in sorted(root.glob("*/*"))]
        self._transform = transform
        self._decoded: dict[int, Image.Image] = {}

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> Item:
        path, label = self._samples[index]
        if index not in self._decoded:
            self._decoded[index] = Image.open(path).convert("RGB")
        return self._transform(self._decoded[index]), label


def train(settings: dict[str, Any]) -> None:
    torch.set_num_threads(settings["threads"])
    torch.manual_seed(settings["seed"])
    root, batch_size, epochs = Path(settings["folder"]), settings["batch_size"], settings["epochs"]
    size = (3, settings["image_size"], settings["image_size"])
    model = timm.create_model(settings["model"], num_classes=len(list((root / "train").iterdir())))
    data = resolve_data_config({"input_size": size}, model=model)  # type: ignore[no-untyped-call]
    shared = {"input_size": size, "mean": data["mean"], "std": data["std"], "interpolation": data["interpolation"]}
    augment = create_transform(
        **shared,
        is_training=True,
        scale=(1.0, 1.0),
        ratio=(1.0, 1.0),
        hflip=0.0,
        color_jitter=None,  # type: ignore[arg-type]  # timm's "off"
    )
    plain = create_transform(**shared, crop_pct=data["crop_pct"], crop_mode=data["crop_mode"])
    # In this process: beside a model that computes on all processors, workers would only take turns with it.
    training = DataLoader(Folder(root / "train", augment), batch_size, shuffle=True)
    validation = DataLoader(Folder(root / "val", plain), batch_size)
    optimizer = create_optimizer_v2(
        model, opt="adamw", lr=settings["learning_rate"], weight_decay=settings["weight_decay"]
    )
    scheduler, _ = create_scheduler_v2(
        optimizer, sched="cosine", num_epochs=epochs, step_on_epochs=False, updates_per_epoch=len(training)
    )
    assert scheduler is not None
    loss_function = torch.nn.CrossEntropyLoss()
    updates = 0
    _tell(epoch=0)
    for epoch in range(1, epochs + 1):
        model.train()
        total = 0.0
        for images, labels in training:
            loss = loss_function(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            updates += 1
            if settings.get("one_step"):
                _tell(updates=updates)
                return
            scheduler.step_update(updates)
            total += loss.item() * len(labels)
        model.eval()
        val_total, right, right_of_five = 0.0, 0, 0
        with torch.inference_mode():
            for images, labels in validation:
                logits = model(images)
                places = logits.topk(5).indices
                right += int((places[:, 0] == labels).sum())
                right_of_five += int((places == labels[:, None]).sum())
                val_total += loss_function(logits, labels).item() * len(labels)
        seen, judged = len(training.dataset), len(validation.dataset)  # type: ignore[arg-type]
        told = {"loss": total / seen, "val_loss": val_total / judged, "accuracy": right / judged}
        state = {"epoch": epoch, "model": model.state_dict(), "optimizer": optimizer.state_dict()}
        torch.save(state, Path(settings["output"]) / "last.pth.tar")
        _tell(epoch=epoch, top5_accuracy=right_of_five / judged, **told)


def _tell(**message: Any) -> None:
    print(json.dumps({"time": time.time(), **message}), flush=True)


if __name__ == "__main__":
    train(json.loads(sys.argv[1]))
