"""Archives of every kind, whole and hostile, and the messages that upload them."""

from __future__ import annotations

import gzip
import io
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping

import zstandard

from tests.gateway.datasets.pictures import chunks, header
from visionmesh.v1 import dataset_pb2

Files = Mapping[str, bytes]
MIB = 1 << 20


def tar(files: Files, *others: tarfile.TarInfo, format: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar archive of the files, then of entries without content."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=format) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for info in others:
            archive.addfile(info)
    return packed.getvalue()


def entry(kind: bytes, name: str, target: str = "") -> tarfile.TarInfo:
    """An entry that is no file, for example a link."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def tar_gz(files: Files, *others: tarfile.TarInfo) -> bytes:
    return gzip.compress(tar(files, *others))


def tar_zst(files: Files, *others: tarfile.TarInfo) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(tar(files, *others))


def zipped(files: Files, *, method: int = zipfile.ZIP_DEFLATED, modes: Mapping[str, int] | None = None) -> bytes:
    """A zip archive; ``modes`` are the kinds of files (``stat.S_IFLNK``, …) that are no regular ones."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        for name, data in files.items():
            # ``ZipInfo`` would mend names that a hostile archive has.
            info = zipfile.ZipInfo("x")
            info.filename = name
            info.compress_type = method
            info.create_system = 3
            info.external_attr = ((modes or {}).get(name, stat.S_IFREG) | 0o644) << 16
            archive.writestr(info, data)
    return packed.getvalue()


class _Unseekable(io.BytesIO):
    def seekable(self) -> bool:
        return False

    def tell(self) -> int:
        raise OSError

    def seek(self, offset: int, whence: int = 0) -> int:
        raise OSError


def zipped_to_a_pipe(files: Files) -> bytes:
    """A zip archive that says sizes and checksums behind the files only."""
    packed = _Unseekable()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return packed.getvalue()


def encrypted(files: Files) -> bytes:
    """A zip archive whose headers say that its files are encrypted."""
    packed = bytearray(zipped(files, method=zipfile.ZIP_STORED))
    at = 0
    while (at := packed.find(b"PK\x03\x04", at)) >= 0:
        (flags,) = struct.unpack_from("<H", packed, at + 6)
        struct.pack_into("<H", packed, at + 6, flags | 1)
        at += 4
    return bytes(packed)


KINDS: dict[str, Callable[[Files], bytes]] = {
    "pets.zip": zipped,
    "pets.ZIP": zipped_to_a_pipe,
    "pets.tar": tar,
    "pets.tar.gz": tar_gz,
    "pets.tgz": tar_gz,
    "pets.tar.zst": tar_zst,
}


def archive_header(path: str, packed: bytes, **fields: object) -> dataset_pb2.FileHeader:
    """Announces an archive to unpack."""
    return header(path, packed, unpack=True, **fields)


def archive_to(
    dataset_id: str, path: str, packed: bytes, chunk_bytes: int = 1 << 20, **fields: object
) -> Iterator[dataset_pb2.UploadFilesRequest]:
    """The messages of UploadFiles that send one archive."""
    yield dataset_pb2.UploadFilesRequest(dataset_id=dataset_id)
    yield dataset_pb2.UploadFilesRequest(header=archive_header(path, packed, **fields))
    yield from (dataset_pb2.UploadFilesRequest(chunk=chunk) for chunk in chunks(packed, chunk_bytes))


def archive_whole(
    spec: dataset_pb2.DatasetSpec, path: str, packed: bytes
) -> Iterator[dataset_pb2.UploadDatasetRequest]:
    """The messages of UploadDataset that send one archive."""
    yield dataset_pb2.UploadDatasetRequest(spec=spec)
    yield dataset_pb2.UploadDatasetRequest(header=archive_header(path, packed))
    yield from (dataset_pb2.UploadDatasetRequest(chunk=chunk) for chunk in chunks(packed))


def zeros(gigabytes: int, wbits: int, first: bytes = b"") -> Iterator[bytes]:
    """So many gigabytes of zeros after ``first``, compressed a thousandfold."""
    packer = zlib.compressobj(9, zlib.DEFLATED, wbits)
    yield packer.compress(first) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(10 * MIB)) + packer.flush(zlib.Z_FULL_FLUSH)
    # After a full flush a block depends on nothing before it.
    for _ in range(100 * gigabytes):
        yield block


def bomb(name: str) -> Iterator[bytes]:
    """Ten gigabytes in ten megabytes."""
    if name.endswith(".zip"):
        yield struct.pack("<4s5H3L2H", b"PK\x03\x04", 20, 8, 8, 0, 0, 0, 0, 0, 4, 0) + b"bomb"
        yield from zeros(10, -15)
    else:
        info = tarfile.TarInfo("bomb")
        info.size = 10 << 30
        yield from zeros(10, 31, info.tobuf(tarfile.GNU_FORMAT))
