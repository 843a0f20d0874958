"""What an archive may hold: how much, how deep, under which names."""

from __future__ import annotations

from dataclasses import dataclass

from storage.objects.paths import InvalidPath, normalize

# Small things unpack to many times their size without being a bomb.
RATIO_FREE_BYTES = 64 << 20
_CLUTTER = frozenset({"__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini"})
_APPLE_DOUBLE = "._"


@dataclass(frozen=True)
class ArchiveLimits:
    """How much one archive may hold. ``max_ratio`` is unpacked bytes over packed ones, beyond the first 64 MiB."""

    max_entries: int = 1_000_000
    max_unpacked_bytes: int = 1 << 40
    max_ratio: float = 200.0
    max_depth: int = 32


class ArchiveError(Exception):
    """The archive cannot be unpacked. ``why`` is a whole sentence; ``entry`` and ``limit`` are empty where none is
    concerned."""

    def __init__(self, why: str, *, entry: str = "", limit: str = "") -> None:
        super().__init__(why)
        self.why = why
        self.entry = entry
        self.limit = limit


class Gauge:
    """Counts what came packed and what it became, and ends an archive that goes beyond its limits."""

    def __init__(self, limits: ArchiveLimits) -> None:
        self._limits = limits
        self._packed = 0
        self._unpacked = 0
        self._entries = 0

    def packed(self, size: int) -> None:
        """So many bytes of the archive arrived."""
        self._packed += size

    def unpacked(self, size: int, entry: str = "") -> None:
        """So many bytes came out of it. Raises ArchiveError."""
        self._unpacked += size
        if self._unpacked > self._limits.max_unpacked_bytes:
            limit = f"archive_max_unpacked_bytes {self._limits.max_unpacked_bytes}"
            raise ArchiveError("It unpacks to more bytes than are allowed.", entry=entry, limit=limit)
        if self._unpacked > RATIO_FREE_BYTES and self._unpacked > self._limits.max_ratio * max(self._packed, 1):
            why = f"It unpacks to more than {self._limits.max_ratio:g} times its size, as no archive of images does."
            raise ArchiveError(why, entry=entry, limit=f"archive_max_ratio {self._limits.max_ratio:g}")

    def entry(self, name: str) -> None:
        """Another entry begins: file, folder or anything. Raises ArchiveError."""
        self._entries += 1
        if self._entries > self._limits.max_entries:
            limit = f"archive_max_entries {self._limits.max_entries}"
            raise ArchiveError("It holds more entries than are allowed.", entry=name, limit=limit)


def place(name: str, folder: str, limits: ArchiveLimits) -> str | None:
    """The path within the dataset of an entry, below ``folder``; None for what is passed over: folders, and what
    desktops leave in archives.

    Raises ArchiveError for a name that leads elsewhere or cannot be stored.
    """
    relative = name
    while relative.startswith("./"):
        relative = relative.removeprefix("./")
    is_folder = relative.endswith("/") or relative in ("", ".")
    relative = relative.removesuffix("/")
    if relative in ("", "."):
        if name in (".", "./"):
            return None
        raise ArchiveError(f"The name of the entry {shown(name)} is empty.", entry=shown(name))
    try:
        normalize(relative)
        path = normalize(f"{folder}/{relative}" if folder else relative)
    except InvalidPath as error:
        raise ArchiveError(f"The name of the entry {shown(name)} {error.why}.", entry=shown(name)) from error
    if path.count("/") > limits.max_depth:
        why = f"The entry {shown(name)} lies in more folders within each other than are allowed."
        raise ArchiveError(why, entry=shown(name), limit=f"archive_max_depth {limits.max_depth}")
    return None if is_folder or any(_is_clutter(part) for part in relative.split("/")) else path


def shown(name: str) -> str:
    """A name as it can be repeated in an error: short, and free of control characters."""
    text = ascii(name)[1:-1] if not name.isprintable() else name
    return text if len(text) <= 200 else f"{text[:200]}…"


def _is_clutter(part: str) -> bool:
    return part in _CLUTTER or part.startswith(_APPLE_DOUBLE)
