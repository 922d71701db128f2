"""CloudWatch as the template uses it: its filter patterns, its metrics and its alarms, evaluated over log lines.

The patterns are those of AWS's "Filter pattern syntax", as much of them as the template has; the rest is refused.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import yaml

Document = dict[str, Any]

_TOKEN: Final = re.compile(r'\s*(?:(?P<text>"[^"]*")|(?P<path>\$(?:\.\w+)+)|(?P<sign>&&|\|\||!=|[=(){}]))')


class NotUnderstood(ValueError):  # noqa: N818  what happened, as a test says it
    """The template or a pattern has something that is not known here."""


# Patterns


def matches(pattern: str, line: Document) -> bool:
    """Say whether a JSON line matches a filter pattern `{ … }`.

    Raises:
        NotUnderstood: the pattern has something that is not known here.
    """
    tokens = _tokens(pattern)
    _take(tokens, "{")
    found = _any_of(tokens, line)
    _take(tokens, "}")
    if tokens:
        raise NotUnderstood(f"{tokens} is left over in {pattern}")
    return found


def _tokens(pattern: str) -> list[str]:
    tokens, at, pattern = [], 0, pattern.strip()
    while at < len(pattern):
        match = _TOKEN.match(pattern, at)
        if match is None:
            raise NotUnderstood(f"{pattern[at:]!r} in {pattern}")
        tokens.append(match[0].strip())
        at = match.end()
    return tokens


def _take(tokens: list[str], *expected: str) -> str:
    if not tokens or (expected and tokens[0] not in expected):
        raise NotUnderstood(f"{tokens[:1]} where {' or '.join(expected) or 'more'} was expected")
    return tokens.pop(0)


def _any_of(tokens: list[str], line: Document) -> bool:
    found = _all_of(tokens, line)
    while tokens[:1] == ["||"]:
        _take(tokens, "||")
        found = _all_of(tokens, line) or found
    return found


def _all_of(tokens: list[str], line: Document) -> bool:
    found = _term(tokens, line)
    while tokens[:1] == ["&&"]:
        _take(tokens, "&&")
        found = _term(tokens, line) and found
    return found


def _term(tokens: list[str], line: Document) -> bool:
    if tokens[:1] == ["("]:
        _take(tokens, "(")
        found = _any_of(tokens, line)
        _take(tokens, ")")
        return found
    path, sign, text = _take(tokens), _take(tokens, "=", "!="), _take(tokens)
    if not path.startswith("$.") or not text.startswith('"'):
        raise NotUnderstood(f"{path} {sign} {text}")
    value = _value(path, line)
    if not isinstance(value, str):
        return False
    wanted = ".*".join(map(re.escape, text[1:-1].split("*")))
    return (re.fullmatch(wanted, value) is not None) == (sign == "=")


def _value(path: str, line: Document) -> object:
    value: object = line
    for name in path.split(".")[1:]:
        value = value.get(name) if isinstance(value, dict) else None
    return value


# Metrics and alarms


@dataclass(frozen=True)
class Metric:
    """What a filter makes of the lines that match its pattern."""

    name: str
    pattern: str
    value: str
    dimensions: Mapping[str, str]

    def data(self, lines: Sequence[Document]) -> Iterator[tuple[datetime, Document, float]]:
        """Yield what it measures: when, with which dimensions, how much."""
        for line in lines:
            if matches(self.pattern, line):
                value = _value(self.value, line) if self.value.startswith("$") else float(self.value)
                dimensions = {name: _value(path, line) for name, path in self.dimensions.items()}
                if isinstance(value, int | float) and None not in dimensions.values():
                    yield datetime.fromisoformat(line["timestamp"]), dimensions, float(value)


@dataclass(frozen=True)
class Stack:
    """The template, with its loops run."""

    metrics: Mapping[str, Metric]
    alarms: Mapping[str, Document]

    def is_in_alarm(self, name: str, lines: Sequence[Document], now: datetime) -> bool:
        """Say whether an alarm is on at `now`, judged over the one period that ends then."""
        alarm = self.alarms[name]
        value = self._share(alarm, lines, now) if "Metrics" in alarm else self._sum(alarm, alarm["Period"], lines, now)
        if value is None:
            return bool(alarm["TreatMissingData"] == "breaching")
        compare = {
            "GreaterThanOrEqualToThreshold": value >= alarm["Threshold"],
            "GreaterThanThreshold": value > alarm["Threshold"],
            "LessThanThreshold": value < alarm["Threshold"],
        }
        return bool(compare[alarm["ComparisonOperator"]])

    def _sum(self, asked: Document, period: int, lines: Sequence[Document], now: datetime) -> float | None:
        wanted = {it["Name"]: it["Value"] for it in asked.get("Dimensions", ())}
        since = now - timedelta(seconds=period)
        data = self.metrics[asked["MetricName"]].data(lines)
        values = [value for at, dimensions, value in data if dimensions == wanted and since < at <= now]
        return sum(values) if values else None

    def _share(self, alarm: Document, lines: Sequence[Document], now: datetime) -> float | None:
        sums = {
            it["Id"]: self._sum(it["MetricStat"]["Metric"], it["MetricStat"]["Period"], lines, now)
            for it in alarm["Metrics"]
            if "MetricStat" in it
        }
        (expression,) = (it["Expression"] for it in alarm["Metrics"] if "Expression" in it)
        above, sign, below = expression.split()
        if sign != "/":
            raise NotUnderstood(expression)
        over, under = sums[above], sums[below]
        return None if over is None or not under else over / under


def read_stack(path: Path, **parameters: list[str]) -> Stack:
    """Read a template."""
    template = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506  a safe loader with our tags
    resources = {
        name: resource
        for key, it in template["Resources"].items()
        for name, resource in (_run(it, parameters) if key.startswith("Fn::ForEach::") else [(key, it)])
    }
    filters = [it["Properties"] for it in resources.values() if it["Type"] == "AWS::Logs::MetricFilter"]
    metrics = [_metric(it["FilterPattern"], it["MetricTransformations"]) for it in filters]
    alarms = {key: it["Properties"] for key, it in resources.items() if it["Type"] == "AWS::CloudWatch::Alarm"}
    return Stack({metric.name: metric for metric in metrics}, alarms)


def _metric(pattern: str, transformations: list[Document]) -> Metric:
    (it,) = transformations
    dimensions = {dimension["Key"]: dimension["Value"] for dimension in it.get("Dimensions", ())}
    return Metric(it["MetricName"], pattern, it["MetricValue"], dimensions)


def _run(loop: list[Any], parameters: Mapping[str, list[str]]) -> Iterator[tuple[str, Document]]:
    """Run a loop of AWS::LanguageExtensions: `${Name}` is the value, `&{Name}` what of it is letters and digits."""
    name, collection, body = loop
    for value in parameters[collection["Ref"]] if isinstance(collection, dict) else collection:
        for key, resource in body.items():
            yield key.replace(f"&{{{name}}}", re.sub(r"[^A-Za-z0-9]", "", value)), _put(resource, name, value)


def _put(node: Any, name: str, value: str) -> Any:  # noqa: ANN401  whatever YAML has
    if isinstance(node, list):
        return [_put(it, name, value) for it in node]
    if node == {"Ref": name}:
        return value
    if isinstance(node, dict):
        if node.keys() == {"Fn::Sub"}:
            return node["Fn::Sub"].replace(f"${{{name}}}", value)
        return {key: _put(it, name, value) for key, it in node.items()}
    return node


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms."""


def _short(long: str) -> Callable[[yaml.SafeLoader, yaml.ScalarNode], Document]:
    return lambda loader, node: {long: loader.construct_scalar(node)}


_Loader.add_constructor("!Ref", _short("Ref"))
_Loader.add_constructor("!Sub", _short("Fn::Sub"))


def as_documents(lines: Sequence[str]) -> list[Document]:
    """Read log lines that are JSON objects."""
    return [json.loads(line) for line in lines]
