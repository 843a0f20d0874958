"""How much of something a dataset may hold."""

from __future__ import annotations

# More classes than any known dataset has; beyond it, file names or ids were most likely written as classes.
MAX_CLASSES = 50_000

# Images that one annotation file may list: each costs memory while it is read.
MAX_LISTED_IMAGES = 2_000_000

# Characters of the name of a class.
LONGEST_NAME = 500

# Keypoints of a class; faces have some hundreds.
MAX_KEYPOINTS = 1000
