"""The document of what can go wrong at an upstream is the one that code and tests make."""

from pathlib import Path

from parts import fault_matrix

DOCUMENT = Path(__file__).parents[2] / "docs" / "upstream-faults.md"


def test_the_document_is_up_to_date() -> None:
    """Every reason of the table, and every fault with tests that exist.

    `.venv/bin/python tests/parts/fault_matrix.py docs/upstream-faults.md` writes it.
    """
    assert DOCUMENT.read_text(encoding="utf-8") == fault_matrix.document()
