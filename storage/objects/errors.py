"""What can go wrong with an object store, whichever it is."""

from __future__ import annotations


class ObjectStoreError(Exception):
    """Root of the errors of this package. Instances survive pickling, so that they can cross processes."""


class ObjectNotFound(ObjectStoreError):
    """There is no object of this key."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key

    def __str__(self) -> str:
        return f"object {self.key!r} does not exist"


class ObjectMismatch(ObjectStoreError):
    """The bytes are not the ones announced: their number or their SHA-256 differs."""

    def __init__(self, key: str, expected: str, found: str) -> None:
        super().__init__(key, expected, found)
        self.key = key
        self.expected = expected
        self.found = found

    def __str__(self) -> str:
        return f"object {self.key!r}: expected {self.expected}, found {self.found}"


class InvalidKey(ObjectStoreError):
    """No object can have this key in this store; ``why`` completes the sentence "the key …"."""

    def __init__(self, key: str, why: str = "is not valid") -> None:
        super().__init__(key, why)
        self.key = key
        self.why = why

    def __str__(self) -> str:
        return f"object key {self.key!r} {self.why}"


class PresigningUnsupported(ObjectStoreError):
    """The store has no server that could take what was signed."""


class AccessRefused(ObjectStoreError):
    """Whoever signs calls of the store does not sign this one; ``why`` is a whole sentence."""

    def __init__(self, key: str, why: str) -> None:
        super().__init__(key, why)
        self.key = key
        self.why = why

    def __str__(self) -> str:
        return f"object {self.key!r} was refused: {self.why}"


class SourceUnreadable(ObjectStoreError):
    """A file of a source cannot be read, and trying again will not help; ``why`` is a whole sentence."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(name, why)
        self.name = name
        self.why = why

    def __str__(self) -> str:
        return f"{self.name}: {self.why}" if self.name else self.why


class StoreUnavailable(ObjectStoreError):
    """The store cannot serve now (disk full, not mounted, not reachable); the same call may succeed later."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message
