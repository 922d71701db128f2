"""LogQL, as much of it as our alerts and dashboard use: parsed strictly, and evaluated over log lines at an instant.

Whatever it does not know it refuses, so that a query which passes here says what Loki would understand of it.
"""

import json
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

Labels = Mapping[str, str]
Vector = dict[frozenset[tuple[str, str]], float]
"""A value for each set of labels, as an instant query answers."""

_TOKEN: Final = re.compile(
    r"""\s*(?: (?P<text>"(?:\\.|[^"\\])*"|`[^`]*`) | (?P<duration>\d+[smhdw]\b|\$__interval|\$__range)
    | (?P<number>\d+(?:\.\d+)?) | (?P<name>[A-Za-z_]\w*) | (?P<sign>\|=|\|~|!=|=~|!~|>=|<=|==|[{}()\[\],|=<>/*]) )""",
    re.VERBOSE,
)
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_COMPARE: Final[Mapping[str, Callable[[float, float], bool]]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
}
_MATCH: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "=~": lambda value, pattern: re.fullmatch(pattern, value) is not None,
    "!~": lambda value, pattern: re.fullmatch(pattern, value) is None,
}
_OVER_TIME: Final[Mapping[str, Callable[[list[float]], float]]] = {
    "count_over_time": lambda values: float(len(values)),
    "sum_over_time": sum,
    "max_over_time": max,
    "last_over_time": lambda values: values[-1],
}
_TOGETHER: Final[Mapping[str, Callable[[list[float]], float]]] = {"sum": sum, "max": max, "min": min}
_DASHBOARD_WINDOW: Final = timedelta(days=1)
"""What stands for the dashboard's own windows, which its reader chooses."""


@dataclass(frozen=True)
class LogLine:
    """One line as it lies in Loki: when, in which stream, and its text."""

    at: datetime
    stream: Labels
    text: str


class NotUnderstood(ValueError):  # noqa: N818  what happened, as a test says it
    """The query is not of the part of LogQL that is known here."""


@dataclass(frozen=True)
class Filter:
    """A comparison of a label."""

    label: str
    sign: str
    value: str

    def passes(self, labels: Labels) -> bool:
        """Say whether a line with these labels passes; a label that is not there is the empty text."""
        return _MATCH[self.sign](labels.get(self.label, ""), self.value)


@dataclass(frozen=True)
class Lines:
    """A log query: a stream, perhaps read as JSON, filters, perhaps a label whose number is taken."""

    stream: Sequence[Filter]
    filters: Sequence[Filter] = ()
    unwrapped: str = ""

    def select(self, lines: Sequence[LogLine]) -> Iterator[tuple[LogLine, Labels]]:
        """Yield the lines that pass, with their labels."""
        for line in lines:
            if all(it.passes(line.stream) for it in self.stream):
                labels = {**line.stream, **_read(line.text)}
                if all(it.passes(labels) for it in self.filters):
                    yield line, labels


@dataclass(frozen=True)
class Over:
    """A function over a window of time."""

    function: str
    lines: Lines
    window: timedelta
    by: tuple[str, ...] | None = None

    def at(self, instant: datetime, lines: Sequence[LogLine]) -> Vector:
        """Evaluate it."""
        since = instant - self.window
        found = self.lines.select([it for it in lines if since < it.at <= instant])
        if self.function == "absent_over_time":
            return {} if any(found) else {frozenset((it.label, it.value) for it in self.lines.stream): 1.0}
        groups: dict[frozenset[tuple[str, str]], list[float]] = {}
        for _, labels in found:
            value = 1.0
            if self.lines.unwrapped:
                if self.lines.unwrapped not in labels:
                    continue
                value = float(labels[self.lines.unwrapped])
            left = {name: it for name, it in labels.items() if name != self.lines.unwrapped}
            groups.setdefault(_kept(left, self.by), []).append(value)
        return {labels: _OVER_TIME[self.function](values) for labels, values in groups.items()}


@dataclass(frozen=True)
class Together:
    """Several series as one for each group of labels."""

    function: str
    by: tuple[str, ...]
    inner: "Query"

    def at(self, instant: datetime, lines: Sequence[LogLine]) -> Vector:
        """Evaluate it."""
        groups: dict[frozenset[tuple[str, str]], list[float]] = {}
        for labels, value in self.inner.at(instant, lines).items():
            groups.setdefault(_kept(dict(labels), self.by), []).append(value)
        return {labels: _TOGETHER[self.function](values) for labels, values in groups.items()}


@dataclass(frozen=True)
class Quotient:
    """One by the other, where both have the same labels."""

    above: "Query"
    below: "Query"

    def at(self, instant: datetime, lines: Sequence[LogLine]) -> Vector:
        """Evaluate it; what would be divided by nothing is no number, and passes no comparison."""
        above, below = self.above.at(instant, lines), self.below.at(instant, lines)
        return {
            labels: above[labels] / below[labels] if below[labels] else float("nan")
            for labels in above.keys() & below.keys()
        }


@dataclass(frozen=True)
class Compared:
    """Only what compares so with a number."""

    inner: "Query"
    sign: str
    limit: float

    def at(self, instant: datetime, lines: Sequence[LogLine]) -> Vector:
        """Evaluate it."""
        found = self.inner.at(instant, lines)
        return {labels: value for labels, value in found.items() if _COMPARE[self.sign](value, self.limit)}


Query = Over | Together | Quotient | Compared


def parse(query: str) -> Query | Lines:
    """Understand a query.

    Raises:
        NotUnderstood: it has something that is not known here.
    """
    parser = _Parser(_tokens(query))
    found = parser.lines() if parser.next == "{" else parser.query()
    if parser.next:
        raise NotUnderstood(f"{parser.next} is left over in {query}")
    return found


def log_queries(query: Query | Lines) -> Iterator[Lines]:
    """Yield the log queries within a query."""
    if isinstance(query, Lines):
        yield query
    elif isinstance(query, Over):
        yield query.lines
    elif isinstance(query, Quotient):
        yield from log_queries(query.above)
        yield from log_queries(query.below)
    else:
        yield from log_queries(query.inner)


def groups(query: Query | Lines) -> Iterator[tuple[str, Lines]]:
    """Yield each label that a query groups by, with the log queries that are grouped."""
    if isinstance(query, Together | Over) and query.by is not None:
        yield from ((label, lines) for label in query.by for lines in log_queries(query))
    if isinstance(query, Quotient):
        yield from groups(query.above)
        yield from groups(query.below)
    elif isinstance(query, Together | Compared):
        yield from groups(query.inner)


def _tokens(query: str) -> list[str]:
    tokens, at = [], 0
    query = query.rstrip()
    while at < len(query):
        match = _TOKEN.match(query, at)
        if match is None:
            raise NotUnderstood(f"{query[at:]!r} in {query}")
        tokens.append(match[0].strip())
        at = match.end()
    return tokens


@dataclass
class _Parser:
    """A parser by recursive descent."""

    tokens: list[str]
    _at: int = field(default=0)

    @property
    def next(self) -> str:
        return self.tokens[self._at] if self._at < len(self.tokens) else ""

    def take(self, *expected: str) -> str:
        token = self.next
        if not token or (expected and token not in expected):
            raise NotUnderstood(f"{token or 'the end'} where {' or '.join(expected) or 'more'} was expected")
        self._at += 1
        return token

    def query(self) -> Query:
        found = self.quotient()
        while self.next in _COMPARE:
            sign = self.take()
            found = Compared(found, sign, float(self.take()))
        return found

    def quotient(self) -> Query:
        found = self.term()
        while self.next == "/":
            self.take()
            found = Quotient(found, self.term())
        return found

    def term(self) -> Query:
        if self.next in _TOGETHER:
            return self.together()
        if self.next == "(":
            self.take("(")
            found = self.query()
            self.take(")")
            return found
        return self.over()

    def together(self) -> Together:
        function, by = self.take(), self.by()
        self.take("(")
        inner = self.query()
        self.take(")")
        return Together(function, by or (), inner)

    def over(self) -> Over:
        function = self.take(*_OVER_TIME, "absent_over_time")
        self.take("(")
        lines = self.lines()
        self.take("[")
        window = self.take()
        self.take("]")
        self.take(")")
        if (function in {"count_over_time", "absent_over_time"}) == bool(lines.unwrapped):
            raise NotUnderstood(f"{function} of {lines.unwrapped or 'no'} number")
        return Over(function, lines, _duration(window), self.by())

    def by(self) -> tuple[str, ...] | None:
        if self.next != "by":
            return None
        self.take("by")
        self.take("(")
        names = [self.take()]
        while self.next == ",":
            self.take(",")
            names.append(self.take())
        self.take(")")
        return tuple(names)

    def lines(self) -> Lines:
        self.take("{")
        stream = [self.comparison()]
        while self.next == ",":
            self.take(",")
            stream.append(self.comparison())
        self.take("}")
        filters: list[Filter] = []
        unwrapped, is_json = "", False
        while self.next == "|":
            self.take("|")
            if self.next == "json":
                self.take("json")
                is_json = True
            elif self.next == "unwrap":
                self.take("unwrap")
                unwrapped = self.take()
            else:
                filters.append(self.comparison())
        if (filters or unwrapped) and not is_json:
            raise NotUnderstood("a field of a line that is not read as JSON")
        return Lines(stream, filters, unwrapped)

    def comparison(self) -> Filter:
        label, sign, value = self.take(), self.take(*_MATCH), self.take()
        if value[0] not in '"`':
            raise NotUnderstood(f"{label} is compared with {value}, which is no text")
        return Filter(label, sign, json.loads(value) if value[0] == '"' else value[1:-1])


def _duration(text: str) -> timedelta:
    if text.startswith("$"):
        return _DASHBOARD_WINDOW
    if text[-1] not in _UNITS:
        raise NotUnderstood(f"{text} is no duration")
    return timedelta(seconds=int(text[:-1]) * _UNITS[text[-1]])


def _read(text: str) -> dict[str, str]:
    """Read a line as `| json` does: nested names are joined, lists left out; what is no JSON has no labels."""
    try:
        document = json.loads(text)
    except json.JSONDecodeError:
        return {"__error__": "JSONParserErr"}
    return dict(_flat("", document)) if isinstance(document, dict) else {}


def _flat(prefix: str, document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in document.items():
        label = prefix + re.sub(r"\W", "_", name)
        if isinstance(value, dict):
            yield from _flat(f"{label}_", value)
        elif isinstance(value, bool):
            yield label, str(value).lower()
        elif not isinstance(value, list):
            yield label, str(value)


def _kept(labels: Labels, by: tuple[str, ...] | None) -> frozenset[tuple[str, str]]:
    return frozenset((name, value) for name, value in labels.items() if by is None or name in by)
