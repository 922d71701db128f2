"""What we rely on in libraries: under the unit's MemoryDenyWriteExecute, none wants memory that is written and run."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq
import pysequoia
import pytest
from parts.packed import ROWS, gzipped, zstandard

PROTECTED: Final = """
import ctypes, mmap, runpy, sys
PR_SET_MDWE, REFUSE_EXEC_GAIN, UNKNOWN_HERE = 65, 1, 77
if ctypes.CDLL(None).prctl(PR_SET_MDWE, REFUSE_EXEC_GAIN, 0, 0, 0):
    sys.exit(UNKNOWN_HERE)
try:
    mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    sys.exit("nothing is denied")
except PermissionError:
    runpy.run_module("relay.rewrite", run_name="__main__", alter_sys=True)
"""
"""The rewrite's child where the kernel refuses what systemd's setting refuses."""
_UNKNOWN_HERE: Final = 77


def written(kind: str, key: pysequoia.Tsk, directory: Path) -> bytes:
    """An export of some kind; PGP has Parquet in it, whose compression has assembler in it."""
    match kind:
        case "csv":
            return ROWS
        case "gzip":
            return gzipped(ROWS)
        case "zstd":
            return zstandard(ROWS)
        case "parquet":
            columns = {"phone": ["2125550100", "2125550101"], "segment_name": ["VIP", "VIP"]}
            pq.write_table(pa.table(columns), directory / "table", compression="zstd")
            return (directory / "table").read_bytes()
    return pysequoia.encrypt(written("parquet", key, directory), [key.extract_certificate()])


@pytest.mark.parametrize("kind", ["csv", "gzip", "zstd", "parquet", "pgp"])
def test_the_rewrite_works_where_no_memory_is_written_and_run(kind: str, tmp_path: Path) -> None:
    """Every kind of file is unpacked, decrypted, read and judged under the unit's protection of memory."""
    source, key = tmp_path / "source", pysequoia.Tsk.generate("Relay <relay@example.com>")
    (tmp_path / "key").write_bytes(bytes(key))
    source.write_bytes(written(kind, key, tmp_path))
    request = {
        "parent": os.getpid(),
        "sources": [{"path": str(source), "name": "/uploads/x"}],
        "rules": {"identifier": "phone", "pgp": {"private_key": str(tmp_path / "key")}},
        "into": str(tmp_path / "rewrite"),
    }
    ran = subprocess.run(
        [sys.executable, "-P", "-c", PROTECTED], input=json.dumps(request).encode(), capture_output=True, check=False
    )
    if ran.returncode == _UNKNOWN_HERE:
        pytest.skip("Linux before 6.3 cannot refuse it to a process alone")
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert json.loads((tmp_path / "rewrite" / "report.json").read_bytes())["drafts"][0]["segment"] == "VIP"
