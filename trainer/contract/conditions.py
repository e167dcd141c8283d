"""Conditions over an epoch's metrics, as people write them: parsed strictly, with every mistake told at once.

    condition  = part { "or" part }
    part       = single { "and" single }
    single     = "(" condition ")" | comparison | plateau
    comparison = METRIC ( "<" | "<=" | ">" | ">=" ) NUMBER
    plateau    = METRIC "plateaus" EPOCHS { "min" | "max" | "within" NUMBER | "baseline" NUMBER }

`and` binds closer than `or`; words are in lower case. Examples:
`val_accuracy plateaus 5 and val_f1 plateaus 5 max`, `val_loss > 3 or (loss < 0.01 and val_loss > 1)`.
What a condition means for an epoch is decided by `trainer.policies.conditions`; here is only what it says.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeAlias, cast

LONGEST_CONDITION = 1000
"""Characters of a condition at most."""
DEEPEST_NESTING = 20
"""Parentheses within each other at most."""
MOST_EPOCHS = 2**31 - 1


class Operator(StrEnum):
    """How a metric is compared with a number."""

    BELOW = "<"
    AT_MOST = "<="
    ABOVE = ">"
    AT_LEAST = ">="


@dataclass(frozen=True)
class Comparison:
    """A metric against a number.

    Attributes:
        metric: Name of the metric in an epoch's logs.
        operator: How they are compared.
        value: The number, finite.
    """

    metric: str
    operator: Operator
    value: float

    def __str__(self) -> str:
        return f"{self.metric} {self.operator} {_number(self.value)}"


@dataclass(frozen=True)
class Plateau:
    """A metric that no longer improves; the options are those of Keras's EarlyStopping.

    Attributes:
        metric: Name of the metric in an epoch's logs.
        patience: Epochs without an improvement, at least 1.
        mode: Whether lower or higher is better; `auto` tells by the metric.
        min_delta: A smaller change is no improvement.
        baseline: A value that has to be beaten for the patience to start anew; None asks for none.
    """

    metric: str
    patience: int
    mode: Literal["auto", "min", "max"] = "auto"
    min_delta: float = 0.0
    baseline: float | None = None

    def __str__(self) -> str:
        said = [f"{self.metric} plateaus {self.patience}"]
        if self.mode != "auto":
            said.append(self.mode)
        if self.min_delta:
            said.append(f"within {_number(self.min_delta)}")
        if self.baseline is not None:
            said.append(f"baseline {_number(self.baseline)}")
        return " ".join(said)


@dataclass(frozen=True)
class AllOf:
    """Holds where every part holds.

    Attributes:
        parts: At least two.
    """

    parts: "tuple[Condition, ...]"

    def __str__(self) -> str:
        return " and ".join(f"({part})" if isinstance(part, AnyOf) else str(part) for part in self.parts)


@dataclass(frozen=True)
class AnyOf:
    """Holds where at least one part holds.

    Attributes:
        parts: At least two.
    """

    parts: "tuple[Condition, ...]"

    def __str__(self) -> str:
        return " or ".join(map(str, self.parts))


Single: TypeAlias = Comparison | Plateau
Condition: TypeAlias = Comparison | Plateau | AllOf | AnyOf
"""Immutable; `str()` of one is parsed to an equal one."""


@dataclass(frozen=True)
class Mistake:
    """What is wrong at one place of a condition.

    Attributes:
        column: Where, from 1; one behind the last character for what is missing at the end.
        wrong: What is wrong there.
        expected: What is expected.
    """

    column: int
    wrong: str
    expected: str

    def __str__(self) -> str:
        return f"column {self.column}: {self.wrong}, expected {self.expected}"


class ConditionError(ValueError):
    """A text is no condition.

    Attributes:
        mistakes: All that are wrong with it, in the order of their columns.
    """

    def __init__(self, text: str, mistakes: Sequence[Mistake]) -> None:
        super().__init__(f"{text!r}: {'; '.join(map(str, mistakes))}")
        self.mistakes = tuple(mistakes)


def parse(text: str) -> Condition:
    """Reads a condition.

    Raises:
        ConditionError: It is none; tells of every mistake.
    """
    if len(text) > LONGEST_CONDITION:
        found = Mistake(LONGEST_CONDITION + 1, "too long", f"at most {LONGEST_CONDITION} characters")
        raise ConditionError(text[:40] + "…", [found])
    parser = _Parser(text)
    condition = parser.whole()
    if condition is None or parser.mistakes:
        raise ConditionError(text, sorted(parser.mistakes, key=lambda mistake: mistake.column))
    return condition


def singles(condition: Condition) -> Iterator[Single]:
    """The comparisons and plateaus of a condition, from left to right."""
    if isinstance(condition, AllOf | AnyOf):
        for part in condition.parts:
            yield from singles(part)
    else:
        yield condition


def metrics(condition: Condition) -> tuple[str, ...]:
    """The names of all metrics that a condition asks for, each once, in their order."""
    return tuple(dict.fromkeys(single.metric for single in singles(condition)))


def all_of(conditions: Sequence[Condition]) -> Condition:
    """The condition that holds where all hold; of one the condition itself.

    Raises:
        ValueError: There are none.
    """
    return _joined(AllOf, conditions)


def any_of(conditions: Sequence[Condition]) -> Condition:
    """The condition that holds where at least one holds; of one the condition itself.

    Raises:
        ValueError: There are none.
    """
    return _joined(AnyOf, conditions)


def _joined(kind: type[AllOf] | type[AnyOf], parts: Sequence[Condition]) -> Condition:
    if not parts:
        raise ValueError("at least one condition is needed")
    flat: list[Condition] = []
    for part in parts:
        flat += part.parts if isinstance(part, kind) else [part]
    return flat[0] if len(flat) == 1 else kind(tuple(flat))


def _number(value: float) -> str:
    return repr(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)


_TOKEN = re.compile(
    r"(?P<space>\s+)"
    # A word takes what a metric's name may hold, so `val_loss-1` is one name and no difference, and
    # `gradient_norm/dense/kernel` is one and no quotient: there is no arithmetic.
    r"|(?P<word>[A-Za-z_][A-Za-z0-9_./-]*)"
    r"|(?P<number>[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?![A-Za-z0-9_.]))"
    r"|(?P<operator><=|>=|<|>)"
    r"|(?P<bracket>[()])"
    r"|(?P<odd>[^\s()<>]+)"
)
_LONGEST_SHOWN = 40
_OPTIONS = ("min", "max", "within", "baseline")
_RESERVED = frozenset({"and", "or", "plateaus", *_OPTIONS})
_OPERATORS = "one of <, <=, >, >=, or plateaus"
_AFTER_SINGLE = "and, or, or the end"


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    column: int

    @property
    def shown(self) -> str:
        if self.kind == "end":
            return "the end"
        return repr(self.text if len(self.text) <= _LONGEST_SHOWN else f"{self.text[:_LONGEST_SHOWN]}…")


class _SkipError(Exception):
    """A mistake has been noted; whoever catches it goes on behind what cannot be read."""


class _Parser:
    """Descends through the grammar; after a mistake it goes on at the next `and`, `or` or bracket."""

    def __init__(self, text: str) -> None:
        self.mistakes: list[Mistake] = []
        self._tokens = [
            _Token(str(match.lastgroup), match.group(), match.start() + 1)
            for match in _TOKEN.finditer(text)
            if match.lastgroup != "space"
        ]
        self._tokens.append(_Token("end", "", len(text) + 1))
        self._at = 0
        self._depth = 0

    def whole(self) -> Condition | None:
        """The condition that all of the text is; None, or mistakes, where it is none."""
        condition = self._any()
        while self._next.kind != "end":
            self._note("unexpected " + self._next.shown, _AFTER_SINGLE)
            self._at += 1
            self._skip()
            if self._word("and") or self._word("or"):
                self._at += 1
                self._any()
        return condition

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _word(self, text: str) -> bool:
        return self._next.kind == "word" and self._next.text == text

    def _take(self) -> _Token:
        token = self._next
        self._at += token.kind != "end"
        return token

    def _note(self, wrong: str, expected: str, token: _Token | None = None) -> None:
        self.mistakes.append(Mistake((token or self._next).column, wrong, expected))

    def _any(self) -> Condition | None:
        return self._several("or", self._all, any_of)

    def _all(self) -> Condition | None:
        return self._several("and", self._single, all_of)

    def _several(
        self,
        word: str,
        part: Callable[[], Condition | None],
        join: Callable[[Sequence[Condition]], Condition],
    ) -> Condition | None:
        parts = [part()]
        while self._word(word):
            self._at += 1
            parts.append(part())
        good = [each for each in parts if each is not None]
        return join(good) if len(good) == len(parts) else None

    def _single(self) -> Condition | None:
        try:
            return self._bracket() if self._next.text == "(" else self._statement()
        except _SkipError:
            self._skip()
            return None

    def _bracket(self) -> Condition | None:
        opened = self._take()
        self._depth += 1
        if self._depth > DEEPEST_NESTING:
            self._note("too many parentheses", f"at most {DEEPEST_NESTING} within each other", opened)
            self._at = len(self._tokens) - 1
            return None
        inside = self._any()
        self._depth -= 1
        if self._next.text != ")":
            raise self._fail(f"the parenthesis of column {opened.column} is not closed", "')'")
        self._take()
        return inside

    def _statement(self) -> Single:
        metric = self._next
        if metric.kind != "word" or metric.text in _RESERVED:
            raise self._fail(f"unexpected {metric.shown}", "the name of a metric, such as val_loss, or '('")
        self._take()
        relation = self._next
        if relation.kind == "operator":
            self._take()
            return Comparison(metric.text, Operator(relation.text), self._number())
        if self._word("plateaus"):
            self._take()
            return self._plateau(metric.text)
        raise self._fail(f"unexpected {relation.shown} behind {metric.shown}", _OPERATORS)

    def _plateau(self, metric: str) -> Plateau:
        patience = self._epochs()
        mode, min_delta, baseline = "auto", 0.0, None
        given: set[str] = set()
        while self._next.kind == "word" and self._next.text in _OPTIONS:
            option = self._take()
            key = "mode" if option.text in ("min", "max") else option.text
            if key in given:
                self._note(f"{option.text!r} where {key} is given already", "each option once", option)
            given.add(key)
            if key == "mode":
                mode = option.text
            elif key == "baseline":
                baseline = self._number()
            else:
                min_delta = self._number(least=0.0)
        return Plateau(metric, patience, cast(Literal["auto", "min", "max"], mode), min_delta, baseline)

    def _epochs(self) -> int:
        token = self._next
        wanted = "a number of epochs from 1 up"
        if token.kind != "number":
            raise self._fail(f"unexpected {token.shown}", wanted)
        self._take()
        if not token.text.isdecimal() or not 1 <= int(token.text) <= MOST_EPOCHS:
            self._note(f"{token.text} is no number of epochs", wanted, token)
            return 1
        return int(token.text)

    def _number(self, least: float | None = None) -> float:
        token = self._next
        wanted = "a number" if least is None else f"a number of at least {least:g}"
        if token.kind != "number":
            raise self._fail(f"unexpected {token.shown}", wanted)
        self._take()
        value = float(token.text)
        if value in (float("inf"), float("-inf")) or (least is not None and value < least):
            self._note(f"{token.text} is out of range", wanted, token)
        return value

    def _fail(self, wrong: str, expected: str) -> _SkipError:
        self._note(wrong, expected)
        return _SkipError()

    def _skip(self) -> None:
        """Goes to the next place where a condition may end, past brackets that open and close before it."""
        depth = 0
        while (token := self._next).kind != "end":
            if depth == 0 and (token.text in ("and", "or", ")")):
                return
            depth += (token.text == "(") - (token.text == ")")
            self._at += 1
