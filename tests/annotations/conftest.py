"""Generated examples have no time limit of their own: machines are as busy as they are."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
