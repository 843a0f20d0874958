"""Which image sizes a model takes."""

from __future__ import annotations

from trainer_yolo.counts import measures_of

# Pixels of a side; beyond it a single image takes gigabytes.
LARGEST = 4096


def image_size_problem(model_name: str, image_size: int) -> str | None:
    """Say what is wrong with an image size in pixels and what to use instead; None when it is fine."""
    stride = measures_of(model_name).stride
    if image_size % stride == 0 and stride <= image_size <= LARGEST:
        return None
    if image_size > LARGEST:
        return f"Use at most {LARGEST} pixels, not {image_size}."
    below, above = image_size // stride * stride, -(-image_size // stride) * stride
    nearest = f"{below} or {above}" if below else str(above)
    return f"{model_name} takes multiples of {stride} pixels: use {nearest}, not {image_size}."
