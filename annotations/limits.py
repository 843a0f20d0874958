"""How much of something a dataset may hold."""

from __future__ import annotations

# More classes than any known dataset has; beyond it, file names or ids were most likely written as classes.
MAX_CLASSES = 50_000
