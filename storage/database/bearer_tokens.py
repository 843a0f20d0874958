"""Bearer tokens: made here, and kept as digests alone."""

from __future__ import annotations

import hashlib
import secrets


def new_token(prefix: str) -> str:
    """``prefix`` and 256 random bits, in characters that metadata and files take as they are."""
    return prefix + secrets.token_urlsafe(32)


def token_digest(token: str) -> str:
    """SHA-256 of a token, hexadecimal."""
    # A plain hash is enough: the token has 256 random bits, nobody can try them all.
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
