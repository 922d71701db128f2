"""The evaluator of CloudWatch's filter patterns, metrics and alarms that the tests of the template rest on."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from parts.cloudwatch import NotUnderstood, matches, read_stack

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ('{ $.event = "a.b" }', True),
        ('{ $.event = "a.c" }', False),
        ('{ $.event = "a" }', False),
        ('{ $.event = "a.*" }', True),
        ('{ $.event = "*" }', True),
        ('{ $.event != "a.c" }', True),
        ('{ $.event != "a.b" }', False),
        ('{ $.who = "*" }', False),
        ('{ $.in.ner = "x" }', True),
        ('{ ($.event = "a.b") && ($.who = "*") }', False),
        ('{ ($.who = "*") || ($.event = "a.b") }', True),
        ('{ ($.who = "*") || ($.event = "z") && ($.event = "a.b") }', False),
    ],
)
def test_a_pattern_is_evaluated(pattern: str, expected: bool) -> None:  # noqa: FBT001  what a pattern says
    """Equality, wildcards, what is not there, and, or, brackets."""
    assert matches(pattern, {"event": "a.b", "n": 1, "in": {"ner": "x"}}) is expected


@pytest.mark.parametrize(
    "pattern", ["ERROR", '{ $.event = "a" ', "{ $.event = a }", '{ $.event IS "a" }', '{ $.event = "a" } x', "{ }"]
)
def test_what_is_not_known_is_refused(pattern: str) -> None:
    """A pattern of another kind passes no test by accident."""
    with pytest.raises(NotUnderstood):
        matches(pattern, {"event": "a"})


TEMPLATE = """
Resources:
  Filter:
    Type: AWS::Logs::MetricFilter
    Properties:
      FilterPattern: '{ $.event = "*" }'
      MetricTransformations:
        - MetricName: Events
          MetricValue: $.n
          Dimensions: [{Key: event, Value: $.event}]
  Fn::ForEach::All:
    - Event
    - [a.b, c.d]
    - Of&{Event}:
        Type: AWS::CloudWatch::Alarm
        Properties:
          AlarmDescription: !Sub "about ${Event}"
          MetricName: Events
          Dimensions: [{Name: event, Value: !Ref Event}]
          Period: 300
          ComparisonOperator: GreaterThanOrEqualToThreshold
          Threshold: 5
          TreatMissingData: breaching
"""


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([("a.b", 5, 1)], True),
        ([("a.b", 2, 1), ("a.b", 3, 2)], True),
        ([("a.b", 4, 1)], False),
        ([("a.b", 4, 1), ("a.b", 4, 6)], False),
        ([("a.b", 4, 1), ("c.d", 4, 1)], False),
        ([("c.d", 4, 1)], True),
        ([], True),
    ],
)
def test_an_alarm_is_evaluated(tmp_path: Path, lines: list[tuple[str, int, int]], expected: bool) -> None:  # noqa: FBT001
    """A sum over the period, of its own dimension only, against the threshold; missing data as the alarm says."""
    template = tmp_path / "template.yaml"
    template.write_text(dedent(TEMPLATE))
    stack = read_stack(template)
    assert list(stack.alarms) == ["Ofab", "Ofcd"]
    assert stack.alarms["Ofab"]["AlarmDescription"] == "about a.b"
    documents: list[dict[str, Any]] = [
        {"event": event, "n": n, "timestamp": (NOW - timedelta(minutes=age)).isoformat()} for event, n, age in lines
    ]
    assert stack.is_in_alarm("Ofab", documents, NOW) is expected
