"""What may be said of a defect: its kind and its place, never its words, which may quote a row (rule R1)."""

import traceback
from pathlib import Path


def kind_of(defect: BaseException) -> str:
    """Return the kind of an exception; of a group of them, each one's."""
    return ", ".join(type(leaf).__name__ for leaf in leaves(defect))


def place_of(defect: BaseException) -> str:
    """Return where it was raised, and by way of which calls, the innermost first; of a group of them, each one's."""
    return "; ".join(_place(leaf) for leaf in leaves(defect))


def leaves(error: BaseException) -> list[BaseException]:
    """Return the exceptions of a group, and of the groups within; of any other exception, itself."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in leaves(inner)]
    return [error]


def _place(defect: BaseException) -> str:
    return " < ".join(
        f"{Path(frame.filename).name}:{frame.lineno} {frame.name}"
        for frame in reversed(traceback.extract_tb(defect.__traceback__))
    )
