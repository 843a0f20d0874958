from __future__ import annotations

from annotations.reading import Reader

READERS: dict[str, Reader] = {}
