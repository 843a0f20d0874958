"""What an analysis finds wrong."""

from __future__ import annotations

from dataclasses import dataclass

WARNING = "WARNING"
ERROR = "ERROR"


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a file, or with the whole when ``path`` is empty.

    WARNING: the file is left out (or only worth knowing); ERROR: the dataset cannot be trained on.
    """

    path: str
    kind: str
    severity: str
    message: str
