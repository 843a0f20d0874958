"""A colour for each class: neighbours differ, and each can be told from a photograph."""

from __future__ import annotations

import colorsys

Colour = tuple[int, int, int]

# The first ones by hand: bright, far apart, and still different to most who see fewer colours.
_FIRST: tuple[Colour, ...] = (
    (0, 174, 255),
    (255, 122, 0),
    (58, 210, 87),
    (255, 64, 112),
    (178, 112, 255),
    (255, 209, 26),
    (0, 214, 201),
    (255, 140, 200),
    (170, 215, 40),
    (112, 132, 255),
    (214, 138, 89),
    (224, 64, 251),
)
# Turning the hue by the golden angle keeps any number of classes apart from those just before.
_GOLDEN_ANGLE = 0.381966


def class_colour(place: int) -> Colour:
    """The colour of the class at a place in the dataset's classes."""
    if place < len(_FIRST):
        return _FIRST[place]
    saturation, value = ((0.85, 1.0), (0.55, 1.0), (0.9, 0.8))[place % 3]
    red, green, blue = colorsys.hsv_to_rgb(place * _GOLDEN_ANGLE % 1.0, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)


def text_colour(background: Colour) -> Colour:
    """Black or white, whichever reads better on a colour (relative luminance of WCAG 2.2)."""
    red, green, blue = (_linear(part / 255) for part in background)
    return (17, 17, 17) if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.22 else (255, 255, 255)


def _linear(part: float) -> float:
    return part / 12.92 if part <= 0.04045 else float(((part + 0.055) / 1.055) ** 2.4)
