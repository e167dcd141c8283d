"""The part of the experiment file that says who is told what happens in a run.

An address is a secret: the file names where it is, never what it is.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from trainer.contract import pod
from trainer.contract.conditions import LONGEST_CONDITION, ConditionError, Plateau, parse, singles
from trainer.contract.fields import Duration, FrozenModel, KubernetesName, Problem, entries, text

Occasion = Literal["start", "end", "failure", "restart", "stall", "stop"]
_EXAMPLE = "a condition such as val_accuracy > 0.92, parts joined by `and` and `or`"
Condition = Annotated[str, text(r"\S", _EXAMPLE, LONGEST_CONDITION)]

_VARIABLES = {"slack": "SLACK_WEBHOOK_URL", "webhook": "WEBHOOK_URL"}


def _texts(value: object) -> object:
    """Reads a single text as a list of one."""
    return (value,) if isinstance(value, str) else entries(value)


class NotificationSpec(FrozenModel):
    """Somebody who is told what happens in a run."""

    to: Literal["slack", "webhook"]
    """What takes the messages: an incoming webhook of Slack, or whatever takes JSON by POST."""
    secret: KubernetesName | None = None
    """The Secret with the address, for runs on a cluster; worker 0 alone gets it."""
    key: Annotated[str, text(r"^[-._a-zA-Z0-9]+$", "a key of a Secret", 253)] = "url"
    """The key in the Secret."""
    variable: (
        Annotated[str, text(r"^[A-Za-z_][A-Za-z0-9_]*$", "a variable's name: letters, digits and '_'")] | None
    ) = None
    """The environment variable with the address, which no training process sees; SLACK_WEBHOOK_URL or
    WEBHOOK_URL when left out."""
    on: Annotated[
        tuple[Occasion, ...], BeforeValidator(entries, json_schema_input_type=list[Occasion] | None)
    ] = ("end", "failure", "stall")
    """What is told: `start`, `end`, `failure`, `restart`, `stall`, and `stop` where the run can go on."""
    when: Annotated[
        tuple[Condition, ...],
        BeforeValidator(_texts, json_schema_input_type=list[Condition] | Condition | None),
    ] = ()
    """Conditions on an epoch's metrics; each is told once in a run, at the first epoch for which it holds."""
    stall_after: Duration = 900
    """How long nothing may be done, for whatever reason, before that is a stall."""

    @property
    def url_variable(self) -> str:
        """The environment variable with the address, given or not; no two entries share one."""
        return self.variable or _VARIABLES[self.to]


def url_variables(experiment: Mapping[str, Any]) -> frozenset[str]:
    """The variables that hold addresses, and that nobody but worker 0's supervisor may see.

    Args:
        experiment: A valid, resolved experiment as JSON data, or a part of one.
    """
    found = experiment.get("spec", {}).get("notifications") or ()
    return frozenset(each.get("variable") or _VARIABLES[each["to"]] for each in found)


def notification_problems(spec: Mapping[str, Any]) -> list[Problem]:
    """Finds what is wrong with `notifications` beyond the types of their fields.

    Args:
        spec: The experiment's `spec` as plain values, which need not be valid otherwise.

    Returns:
        Problems with key paths relative to `spec`.
    """
    given = spec.get("notifications")
    problems: list[Problem] = []
    first: dict[str, int] = {}
    for index, entry in enumerate(given if isinstance(given, list | tuple) else ()):
        if isinstance(entry, Mapping):
            found = [*_own_problems(entry), *_variable_problems(entry, spec.get("pod"), first, index)]
            problems += [
                (("notifications", index, *path), wrong, expected) for path, wrong, expected in found
            ]
    return problems + _hidden_problems(spec.get("callbacks"), first)


def _hidden_problems(callbacks: object, taken: Mapping[str, int]) -> list[Problem]:
    """Streams whose address no training process would see, as it is that of a notification."""
    streams = callbacks.get("stream") if isinstance(callbacks, Mapping) else None
    problems: list[Problem] = []
    for index, entry in enumerate(streams if isinstance(streams, list | tuple) else ()):
        if not isinstance(entry, Mapping) or entry.get("to") != "http":
            continue
        variable = entry.get("variable") or "TELEMETRY_URL"
        if isinstance(variable, str) and variable in taken:
            path = ("callbacks", "stream", index, "variable")
            wrong = f"{variable} is that of notifications.{taken[variable]}, which no training process sees"
            problems.append((path, wrong, "a variable of its own, with the same address if need be"))
    return problems


def _own_problems(entry: Mapping[str, Any]) -> Iterator[Problem]:
    on, when = entry.get("on", "the default"), entry.get("when")
    if on in (None, [], ()) and when in (None, [], ()):
        yield (), "tells nothing", "something in `on` or in `when`"
    if isinstance(on, list | tuple):
        for index, occasion in enumerate(on):
            if occasion in on[:index]:
                yield ("on", index), "given twice", "each once"
    conditions = [when] if isinstance(when, str) else when if isinstance(when, list | tuple) else []
    for index, condition in enumerate(conditions):
        path = ("when",) if isinstance(when, str) else ("when", index)
        if not isinstance(condition, str) or not condition.strip():
            continue
        if condition in conditions[:index]:
            yield path, "given twice", "each once"
        yield from ((path, *each) for each in _condition_problems(condition))


def _condition_problems(condition: str) -> Iterator[tuple[str, str]]:
    try:
        found = parse(condition)
    except ConditionError as error:
        first = error.mistakes[0]
        if len(error.mistakes) == 1:
            yield f"column {first.column}: {first.wrong}", first.expected
        else:
            yield "; ".join(map(str, error.mistakes)), _EXAMPLE
        return
    for single in singles(found):
        if isinstance(single, Plateau):
            # What a plateau remembers would have to outlive leaders, as the checkpoints of training do.
            yield f"{single} is nothing that a notification can wait for", _EXAMPLE


def _variable_problems(
    entry: Mapping[str, Any], pod_spec: object, first: dict[str, int], index: int
) -> Iterator[Problem]:
    variable = entry.get("variable") or _VARIABLES.get(str(entry.get("to")))
    if not isinstance(variable, str):
        return
    key = ("variable",) if entry.get("variable") else ()
    if variable in pod.RESERVED_VARIABLES or variable.startswith("PERDURE_"):
        yield key, "reserved for Perdure", "another name"
    if first.setdefault(variable, index) != index:
        yield key, f"same variable as notifications.{first[variable]}: {variable}", "a variable of its own"
    env = pod_spec.get("env") if isinstance(pod_spec, Mapping) else None
    if entry.get("secret") is not None and isinstance(env, Mapping) and variable in env:
        yield key, f"{variable} is in pod.env as well", "another variable, or no secret here"
