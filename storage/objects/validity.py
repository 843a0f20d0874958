"""Which keys an object can have, in every store."""

from __future__ import annotations

MAX_PART_BYTES = 255


def key_objection(key: str) -> str:
    """What speaks against the key, as words that complete the sentence "the key …"; empty when nothing does."""
    if not key:
        return "is empty"
    if "\\" in key or "\0" in key:
        return "contains a backslash or NUL"
    for part in key.split("/"):
        if part in ("", ".", ".."):
            return "is absolute or contains an empty part, . or .."
        try:
            length = len(part.encode())
        except UnicodeEncodeError:
            return "is not valid Unicode"
        if length > MAX_PART_BYTES:
            return f"contains a part longer than {MAX_PART_BYTES} bytes"
    return ""
