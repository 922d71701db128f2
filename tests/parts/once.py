"""What takes long and is wanted by tests that several processes run."""

import fcntl
import json
import os
from collections.abc import Callable
from typing import TypeVar

import pytest

_Document = TypeVar("_Document")


def once_for_all(temporary: pytest.TempPathFactory, name: str, make: Callable[[], _Document]) -> _Document:
    """Return what `make` makes, a document that JSON can hold: made by the first process of the tests that asks.

    The others wait for it. If it fails, each of them tries by itself.
    """
    base = temporary.getbasetemp()
    # Each of pytest-xdist's processes has a directory of its own in the one of them all.
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    made = shared / f"{name}.json"
    with (shared / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            made.write_text(json.dumps(make()), encoding="utf-8")
    document: _Document = json.loads(made.read_text(encoding="utf-8"))
    return document
