"""The store's verbs on bans."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from relay.model import Ban, RelayError
from relay.store import Store

NOW = datetime(2026, 11, 23, 6, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty store."""
    with closing(Store.open(tmp_path / "relay.db")) as store:
        yield store


def ban(source: str, minutes: int, reason: str = "refused_login") -> Ban:
    """A ban of so many minutes."""
    return Ban(source, reason, NOW, NOW + minutes * MINUTE)


def test_bans_are_kept_until_they_are_over(store: Store) -> None:
    """Those that end first stand first; what is over is not shown, and is forgotten with the next."""
    store.keep_bans([ban("203.0.113.7/32", 5), ban("2001:db8::/64", 2)], NOW)
    assert store.bans(NOW) == (ban("2001:db8::/64", 2), ban("203.0.113.7/32", 5))
    assert store.bans(NOW + 2 * MINUTE) == (ban("203.0.113.7/32", 5),)
    store.keep_bans([], NOW + 2 * MINUTE)
    assert store.bans(NOW) == (ban("203.0.113.7/32", 5),)


def test_a_new_ban_takes_the_place_of_an_older_one(store: Store) -> None:
    """A source has one."""
    store.keep_bans([ban("203.0.113.7/32", 5)], NOW)
    store.keep_bans([ban("203.0.113.7/32", 9, "no_login")], NOW)
    assert store.bans(NOW) == (ban("203.0.113.7/32", 9, "no_login"),)


def test_lifting_a_ban_is_history(store: Store) -> None:
    """It is recorded with the operator's name, for the log; bans themselves are not: a flood must not fill it."""
    store.keep_bans([ban("203.0.113.7/32", 5), ban("2001:db8::/64", 2)], NOW)
    assert not store.unlogged()
    store.lift_ban("203.0.113.7/32", "jo", NOW)
    assert [it.source for it in store.bans(NOW)] == ["2001:db8::/64"]
    (transition,) = store.unlogged()
    assert transition.event == "landing.address_unbanned"
    assert transition.fields == {"source": "203.0.113.7/32", "operator": "jo", "state": "let_in"}


def test_what_is_not_shut_out_cannot_be_let_in(store: Store) -> None:
    """Nor what was until a moment ago; nothing is recorded."""
    store.keep_bans([ban("203.0.113.7/32", 5)], NOW)
    with pytest.raises(RelayError, match=r"198\.51\.100\.1/32 is not shut out"):
        store.lift_ban("198.51.100.1/32", "jo", NOW)
    with pytest.raises(RelayError, match="is not shut out"):
        store.lift_ban("203.0.113.7/32", "jo", NOW + 5 * MINUTE)
    assert not store.unlogged()
