"""How much of something a dataset may hold."""

from __future__ import annotations

# More classes than any known dataset has; beyond it, file names or ids were most likely written as classes.
MAX_CLASSES = 50_000

# Images that one annotation file may list: each costs memory while it is read.
MAX_LISTED_IMAGES = 2_000_000
