"""The evaluator of LogQL that the tests of alerts and dashboard rest on: what it knows, it does as Loki does."""

from datetime import UTC, datetime, timedelta

import pytest
from parts.logql import Lines, LogLine, NotUnderstood, groups, log_queries, parse

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
SERVICE = '{service_name="relay"} | json'


def line(text: str, *, minutes: int = 1, service: str = "relay") -> LogLine:
    """A line as it lies in Loki, so many minutes old."""
    return LogLine(NOW - timedelta(minutes=minutes), {"service_name": service, "host": "a"}, text)


LINES = [
    line('{"event": "a.b", "n": 2, "yes": true, "in": {"ner": 1.5}, "list": [1]}'),
    line('{"event": "a.b", "n": 3, "yes": false}', minutes=20),
    line('{"event": "c.d", "n": 40, "who": "x"}'),
    line("plain text"),
    line('{"event": "a.b", "n": 7}', service="other"),
]


def value(query: str) -> dict[tuple[tuple[str, str], ...], float]:
    """Evaluate a query now."""
    parsed = parse(query)
    assert not isinstance(parsed, Lines)
    return {tuple(sorted(labels)): found for labels, found in parsed.at(NOW, LINES).items()}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (f'sum(count_over_time({SERVICE} | event="a.b" [5m]))', {(): 1}),
        (f'sum(count_over_time({SERVICE} | event="a.b" [1h]))', {(): 2}),
        (f'sum(count_over_time({SERVICE} | event=~"a.b|c.d" [5m]))', {(): 2}),
        (f'sum(count_over_time({SERVICE} | event!="a.b" [5m]))', {(): 2}),
        (f'sum(count_over_time({SERVICE} | who!="" [5m]))', {(): 1}),
        (f'sum(count_over_time({SERVICE} | yes="true" [1h]))', {(): 1}),
        (f'sum(count_over_time({SERVICE} | in_ner="1.5" [1h]))', {(): 1}),
        (f'sum(count_over_time({SERVICE} | list="" | event="a.b" [1h]))', {(): 2}),
        (f'sum(count_over_time({SERVICE} | __error__="JSONParserErr" [1h]))', {(): 1}),
        (
            f"sum by (event) (sum_over_time({SERVICE} | unwrap n [1h]))",
            {(("event", "a.b"),): 5, (("event", "c.d"),): 40},
        ),
        (f'max_over_time({SERVICE} | event="a.b" | unwrap n [1h]) by (host)', {(("host", "a"),): 3}),
        (f'last_over_time({SERVICE} | event="c.d" | unwrap n [1h]) by (who)', {(("who", "x"),): 40}),
        (f'sum(count_over_time({SERVICE} | event="a.b" [1h])) >= 2', {(): 2}),
        (f'sum(count_over_time({SERVICE} | event="a.b" [1h])) > 2', {}),
        (
            (
                f'sum(sum_over_time({SERVICE} | event="a.b" | unwrap n [1h])) / '
                f'sum(sum_over_time({SERVICE} | event="c.d" | unwrap n [1h])) > 0.1'
            ),
            {(): 0.125},
        ),
        (f'absent_over_time({SERVICE} | event="a.b" [5m])', {}),
        (f'absent_over_time({SERVICE} | event="e.f" [5m])', {(("service_name", "relay"),): 1}),
    ],
)
def test_a_query_is_evaluated(query: str, expected: dict[tuple[tuple[str, str], ...], float]) -> None:
    """Windows, filters, numbers, groups, comparisons and absence mean what they mean in Loki."""
    assert value(query) == expected


@pytest.mark.parametrize(
    "query",
    [
        '{service_name="relay"',
        'count_over_time({service_name="relay"} | json | event="a" [5x])',
        'count_over_time({service_name="relay"} | event="a" [5m])',
        'count_over_time({service_name="relay"} | json | event=a [5m])',
        'sum_over_time({service_name="relay"} | json | event="a" [5m])',
        'count_over_time({service_name="relay"} | json | unwrap n [5m])',
        'frequency({service_name="relay"} | json [5m])',
        'sum by (a) (count_over_time({service_name="relay"} [5m])) nonsense',
    ],
)
def test_what_is_not_known_is_refused(query: str) -> None:
    """A query that Loki would not take, or that this evaluator does not know, passes no test by accident."""
    with pytest.raises(NotUnderstood):
        parse(query)


def test_the_labels_that_a_query_rests_on_can_be_told() -> None:
    """Which log queries are in it, and by what they are grouped."""
    query = parse(
        f'sum by (a) (count_over_time({SERVICE} | event="x" [1m])) / '
        f'sum by (b) (sum_over_time({SERVICE} | event="y" | unwrap n [1m])) > 1'
    )
    assert [it.filters[0].value for it in log_queries(query)] == ["x", "y"]
    assert [(label, it.filters[0].value) for label, it in groups(query)] == [("a", "x"), ("b", "y")]
