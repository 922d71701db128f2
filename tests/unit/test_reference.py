"""The reference in `docs/` says what the code does, of every key and every event."""

from pathlib import Path

import pytest

from relay.cli import reference
from relay.config import AccountSettings, LandingSettings, RouteSettings, UpstreamSettings
from relay.config.translation import settable_keys
from relay.guards import GuardPolicy
from relay.log import CATALOGUE, FIELDS

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize(("name", "written"), reference.reference().items())
def test_the_committed_reference_is_the_generated_one(name: str, written: str) -> None:
    """Whoever changes a key or an event also has the reference written again."""
    assert (DOCS / name).read_text(encoding="utf-8") == written


def test_every_file_is_written(tmp_path: Path) -> None:
    """One command writes the whole reference."""
    reference.main(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"configuration.md", "events.md", "states.md"}
    assert (tmp_path / "events.md").read_text(encoding="utf-8") == reference.events()


def test_every_key_is_explained() -> None:
    """A key's row has its default, its kind and unit, and its meaning: no cell is empty."""
    rows = [line for line in reference.configuration().splitlines() if line.startswith("| `")]
    assert all(all(cell.strip() for cell in row.strip("|").split(" | ")) for row in rows)
    keys = [row.split("`")[1] for row in rows]
    for model in (LandingSettings, UpstreamSettings, AccountSettings, GuardPolicy):
        assert set(settable_keys(model)) <= {*keys, "limits", "penalties"}


def test_a_name_is_no_key() -> None:
    """Accounts, upstreams and routes are named by their table or file."""
    assert "name" not in settable_keys(RouteSettings)
    assert "name" not in settable_keys(UpstreamSettings)


def test_every_event_and_field_is_there() -> None:
    """The reference of the log is complete."""
    text = reference.events()
    assert all(f"| `{event}` | {entry.level} | {entry.meaning} |" in text for event, entry in CATALOGUE.items())
    assert all(f"| `{name}` | {meaning} |" in text for name, meaning in FIELDS.items())
