"""Archives and compressed files, made for a test."""

import gzip
import io
import tarfile
import zipfile
from collections.abc import Mapping

from backports import zstd

ROWS = b"phone,segment_name\n2125550100,VIP\n2125550101,VIP\n"
MORE_ROWS = b"phone,segment_name\n2125550102,VIP\n"


def gzipped(content: bytes) -> bytes:
    """A gzip file of one member, the same each time."""
    return gzip.compress(content, mtime=0)


def zstandard(content: bytes) -> bytes:
    """A zstd file of one frame, with the checksum that the zstd program writes."""
    return zstd.compress(content, options={zstd.CompressionParameter.checksum_flag: 1})


def zipped(members: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A ZIP archive with these members in this order, the same each time."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", method) as archive:
        for name, member in members.items():
            archive.writestr(zipfile.ZipInfo(name), member, method)
    return content.getvalue()


def tarred(members: Mapping[str, bytes]) -> bytes:
    """A TAR archive with these members in this order, the same each time."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name, member in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(member)
            archive.addfile(info, io.BytesIO(member))
    return content.getvalue()


def tar_of(info: tarfile.TarInfo) -> bytes:
    """A TAR archive with one member that has no content."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        archive.addfile(info)
    return content.getvalue()
