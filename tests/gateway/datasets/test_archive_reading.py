"""Reading archives: bombs end early, headers of any age are understood, and damage is never taken for the end."""

from __future__ import annotations

import gzip
import tarfile
from collections.abc import Iterator

import pytest
import zstandard

from gateway.datasets.archives.reading import files_of
from gateway.datasets.archives.rules import RATIO_FREE_BYTES, ArchiveError, ArchiveLimits
from gateway.datasets.files import FileAnnouncement
from tests.gateway.datasets.archives import bomb, tar, zipped
from tests.gateway.datasets.pictures import chunks

MIB = 1 << 20


def read(name: str, packed: Iterator[bytes], limits: ArchiveLimits | None = None) -> dict[str, bytes]:
    """The files of an archive by path."""
    files: dict[str, bytearray] = {}
    path = ""
    for part in files_of(name, packed, limits or ArchiveLimits()):
        if isinstance(part, FileAnnouncement):
            path = part.path
            files[path] = bytearray()
        elif isinstance(part, bytes):
            files[path] += part
    return {path: bytes(data) for path, data in files.items()}


@pytest.mark.parametrize("name", ["bomb.zip", "bomb.tar.gz"])
def test_a_bomb_ends_early(name: str) -> None:
    unpacked = 0
    with pytest.raises(ArchiveError) as caught:
        for part in files_of(name, bomb(name), ArchiveLimits()):
            unpacked += len(part) if isinstance(part, bytes) else 0
    assert (caught.value.limit, unpacked <= RATIO_FREE_BYTES) == ("archive_max_ratio 200", True)


def test_what_packs_well_is_no_bomb() -> None:
    # All of one colour: a thousandfold, but small.
    files = {f"{number}.bmp": bytes(MIB) for number in range(20)}
    assert read("a.zip", iter([zipped(files)])) == files


@pytest.mark.parametrize("format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
@pytest.mark.parametrize("chunk_bytes", [1, 511, 10_000])
def test_headers_of_every_age_are_understood(format: int, chunk_bytes: int) -> None:
    files = {"short": b"x" * 512, f"{'a' * 90}/{'b' * 90}": b"y", "after": b""}
    if format != tarfile.USTAR_FORMAT:
        files[f"{'ä' * 100}/{'ö' * 100}"] = b"long"
    assert read("a.tar", chunks(tar(files, format=format), chunk_bytes)) == files


def test_attributes_for_all_that_follow_are_of_no_harm_and_those_of_one_end_with_it() -> None:
    packed = tarfile.TarInfo.create_pax_global_header({"comment": "of git archive"}) + tar({"b" * 120: b"1", "c": b"2"})
    assert read("a.tar", iter([packed])) == {"b" * 120: b"1", "c": b"2"}


def test_attributes_of_an_entry_have_a_limit() -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 8 << 30
    with pytest.raises(ArchiveError, match="attributes of an entry are larger"):
        read("a.tar", iter([info.tobuf(tarfile.GNU_FORMAT), *[bytes(MIB)] * 10]))


@pytest.mark.parametrize("content", [b"nonsense", b"0 a=b\n", b"99 a=b\n", b"8 ab=c\n"])
def test_attributes_that_cannot_be_read_are_told(content: bytes) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, len(content)
    with pytest.raises(ArchiveError, match="damaged"):
        read("a.tar", iter([info.tobuf(), content.ljust(512, b"\0"), tar({"a": b"x"})]))


def test_a_damaged_header_is_not_the_end() -> None:
    packed = bytearray(tar({"a": b"x", "b": b"y"}))
    packed[1024 + 10] ^= 0xFF
    with pytest.raises(ArchiveError, match="damaged"):
        read("a.tar", iter([bytes(packed)]))


def test_an_archive_that_ends_between_two_files_is_not_whole() -> None:
    packed = tar({"a": b"x", "b": b"y"})
    for end in (1024, 2048):
        for name, data in {"a.tar": packed[:end], "a.tar.gz": gzip.compress(packed[:end])}.items():
            with pytest.raises(ArchiveError, match="not whole"):
                read(name, iter([data]))


def test_a_size_below_zero_is_refused() -> None:
    info = tarfile.TarInfo("x")
    info.size = -1
    with pytest.raises(ArchiveError, match="negative"):
        read("a.tar", iter([info.tobuf(tarfile.GNU_FORMAT), bytes(1024)]))


def test_several_members_of_gzip_and_frames_of_zstandard_are_one_archive() -> None:
    packed = tar({"a": b"x", "b": b"y"})
    half = len(packed) // 2
    assert read("a.tgz", iter([gzip.compress(packed[:half]), gzip.compress(packed[half:]), bytes(100)]))
    compress = zstandard.ZstdCompressor().compress
    assert read("a.tar.zst", iter([compress(packed[:half]) + compress(packed[half:])]))


def test_a_window_that_takes_too_much_memory_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters.from_level(3, window_log=27)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    packed = packer.compress(tar({"a": b"x"})) + packer.flush()
    with pytest.raises(ArchiveError, match="larger window"):
        read("a.tar.zst", iter([packed]))


def test_a_name_in_the_old_code_page_of_dos_is_read() -> None:
    packed = zipped({"XXX.png": b"x"}).replace(b"XXX.png", "Böe.png".encode("cp437"))
    assert read("a.zip", iter([packed])) == {"Böe.png": b"x"}


def test_a_directory_that_is_missing_or_damaged_is_told() -> None:
    packed = zipped({"a": b"x", "b": b"y"})
    at = packed.index(b"PK\x01\x02")
    for wrong, why in (
        (packed[: at + 60], "directory is missing"),
        (packed[: at + 46] + b"?" + packed[at + 46 :], "directory"),
    ):
        with pytest.raises(ArchiveError, match=why):
            read("a.zip", iter([wrong]))
