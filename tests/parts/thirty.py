"""A host with thirty routes, on a morning on which most is well."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from parts.configuration import ROUTE_TOML
from parts.host import SHRUNK, Host, a_host
from relay.freshness import Expectation

ROUTES: Final = tuple(f"brand{number:02}" for number in range(1, 31))
SEGMENTS: Final = ("Abandoned Cart", "Lapsed", "Most Loyal Customers", "VIP")
NIGHT: Final = timedelta(hours=7)


@contextmanager
def thirty_routes(directory: Path) -> Iterator[Host]:
    """Two nights' lists of thirty tenants: in the second, one list was held, one failed, one tenant sent nothing."""
    with a_host(directory) as host:
        routes = host.config.parent / "routes.d"
        (routes / "sirendenim.toml").unlink()
        deadline = (host.books.now - timedelta(minutes=50)).replace(second=0, microsecond=0)
        for name in ROUTES:
            settings = ROUTE_TOML.replace("sirendenim", name) + f'expect_by = "{deadline:%H:%M}"\n'
            (routes / f"{name}.toml").write_text(settings, encoding="utf-8")
        host.books.now -= timedelta(days=1) + NIGHT
        _night(host, 0)
        expectation = Expectation(deadline.time(), timedelta(hours=2), ZoneInfo("UTC"))
        for name in ROUTES:
            host.books.store.judge_freshness(name, expectation, deadline - timedelta(days=1))
        host.books.now += timedelta(days=1)
        _night(host, 1)
        host.books.now += NIGHT
        yield host


def _night(host: Host, night: int) -> None:
    """Every route's lists; of the second night, with the exceptions."""
    for number, name in enumerate(ROUTES):
        for place, segment in enumerate(SEGMENTS[: 1 + number % len(SEGMENTS)]):
            what: dict[str, Any] = {"route": name, "client_domain": name, "segment": segment}
            rows = 1000 + 37 * number + 4000 * place + (13 * number - 90) * night
            match night, name, segment:
                case 1, "brand07", _:
                    continue
                case 1, "brand12", "VIP":
                    host.books.plan(SHRUNK, rows=20, **what)
                case 1, "brand23", "Lapsed":
                    host.fail(rows=rows, **what)
                case _:
                    host.send(rows=rows, **what)
            host.books.wait(timedelta(seconds=7))
