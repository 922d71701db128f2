"""A host that has a month behind it: two segments every day, one day without, and a list that is held."""

from datetime import timedelta
from zoneinfo import ZoneInfo

from parts.host import SHRUNK, Host
from relay.freshness import Expectation


def live_for_a_month(host: Host, *, second: str = "Lapsed") -> None:
    """Send lists every morning but one, and hold the last."""
    by = host.books.now.replace(second=0, microsecond=0)
    host.set_route(f'expect_by = "{by:%H:%M}"')
    expectation = Expectation(by.time(), timedelta(hours=2), ZoneInfo("UTC"))
    host.books.now -= timedelta(days=30)
    host.books.store.judge_freshness("sirendenim", expectation, host.books.now)
    for day in range(30):
        host.books.now += timedelta(days=1)
        if day != 20:
            host.send(segment="Most Loyal", rows=48_000 + 100 * day)
            host.send(segment=second, rows=900 + day)
        host.books.store.judge_freshness("sirendenim", expectation, host.books.now)
    host.books.plan(SHRUNK, segment="Most Loyal", rows=20)
