from __future__ import annotations

from dataclasses import dataclass

from annotations.reading import Source


@dataclass(frozen=True)
class Detected:
    format: str
    evidence: str


def detect(source: Source) -> Detected | None:
    return None
