"""Conditions on an epoch's metrics, such as `val_accuracy > 0.92 and (val_loss < 0.3 or loss < 0.1)`.

    condition = part { "or" part }
    part      = single { "and" single }
    single    = "(" condition ")" | METRIC ( "<" | "<=" | ">" | ">=" ) NUMBER

`and` binds closer than `or`. A comparison with a metric that is missing, or is no number, does not hold.
"""

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

_TOKEN = re.compile(
    r"\s*(?:(?P<word>[A-Za-z_][A-Za-z0-9_.-]*)"
    r"|(?P<number>[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?![A-Za-z0-9_.]))"
    r"|(?P<sign><=|>=|<|>|\(|\))"
    r"|(?P<odd>\S+))"
)
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_RESERVED = ("and", "or")
_DEEPEST = 20
_END = ("end", "the end")

Values = Mapping[str, float]
_Test = Callable[[Values], bool]


class ConditionError(ValueError):
    """A text is no condition.

    Attributes:
        wrong: What is wrong with it.
        expected: What is expected there.
    """

    def __init__(self, wrong: str, expected: str) -> None:
        super().__init__(f"{wrong}, expected {expected}")
        self.wrong = wrong
        self.expected = expected


@dataclass(frozen=True)
class MetricCondition:
    """A condition that was read.

    Attributes:
        text: As it was written.
        metrics: The metrics that it asks for, each once, in their order.
        holds: Tells whether it holds for the metrics of an epoch.
    """

    text: str
    metrics: tuple[str, ...]
    holds: _Test


def parse(text: str) -> MetricCondition:
    """Reads a condition.

    Raises:
        ConditionError: It is none.
    """
    parser = _Parser(text)
    holds = parser.condition(0)
    if parser.next != _END:
        raise ConditionError(f"unexpected {parser.next[1]!r}", "and, or, or the end")
    return MetricCondition(text, tuple(dict.fromkeys(parser.metrics)), holds)


class _Parser:
    """Descends through the grammar, a method for each of its lines."""

    def __init__(self, text: str) -> None:
        found = (match for match in _TOKEN.finditer(text.rstrip()))
        self._tokens = [(str(match.lastgroup), match[str(match.lastgroup)]) for match in found]
        self.metrics: list[str] = []

    @property
    def next(self) -> tuple[str, str]:
        return self._tokens[0] if self._tokens else _END

    def condition(self, depth: int) -> _Test:
        parts = [self._part(depth)]
        while self.next == ("word", "or"):
            self._take()
            parts.append(self._part(depth))
        return _joined(any, parts)

    def _part(self, depth: int) -> _Test:
        parts = [self._single(depth)]
        while self.next == ("word", "and"):
            self._take()
            parts.append(self._single(depth))
        return _joined(all, parts)

    def _single(self, depth: int) -> _Test:
        if self.next != ("sign", "("):
            return self._comparison()
        if depth == _DEEPEST:
            raise ConditionError("too many parentheses", f"at most {_DEEPEST} within each other")
        self._take()
        inside = self.condition(depth + 1)
        self._expect(self.next == ("sign", ")"), "')'")
        self._take()
        return inside

    def _comparison(self) -> _Test:
        kind, metric = self.next
        self._expect(kind == "word" and metric not in _RESERVED, "the name of a metric, such as val_loss")
        self._take()
        compare = _COMPARE.get(self.next[1])
        self._expect(compare is not None, "one of <, <=, > and >=")
        self._take()
        kind, number = self.next
        self._expect(kind == "number" and abs(float(number)) != float("inf"), "a number")
        self._take()
        self.metrics.append(metric)
        assert compare is not None
        limit = float(number)
        # No comparison with NaN holds, so a missing metric may be one.
        return lambda values: compare(values.get(metric, float("nan")), limit)

    def _take(self) -> None:
        self._tokens.pop(0)

    def _expect(self, fits: bool, expected: str) -> None:
        if not fits:
            kind, shown = self.next
            raise ConditionError(f"unexpected {shown if kind == 'end' else repr(shown)}", expected)


def _joined(join: Callable[[Sequence[bool]], bool], parts: Sequence[_Test]) -> _Test:
    return parts[0] if len(parts) == 1 else lambda values: join([part(values) for part in parts])
