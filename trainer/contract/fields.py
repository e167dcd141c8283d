"""What the models of the experiment file share: strictness, how they tell what is wrong, durations."""

import math
import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

from trainer.contract.field_descriptions import field_descriptions

PROBLEMS = "experiment_problems"
"""Type of a pydantic error that carries several `Problem`s under `ctx["problems"]`."""

KeyPath: TypeAlias = tuple[str | int, ...]
Problem: TypeAlias = tuple[KeyPath, str, str]
"""Key path below the value that was checked, what is wrong, and what is expected."""

LONGEST_SECONDS = 315_360_000
"""Ten years, the longest duration."""

_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_DURATION = r"^(?P<d>[0-9]{1,9}d)?(?P<h>[0-9]{1,9}h)?(?P<m>[0-9]{1,9}m)?(?P<s>[0-9]{1,9}s)?$"
# The same for a schema, where the empty text cannot be excluded otherwise.
_DURATION_IN_SCHEMA = "^({})$".format(
    "|".join(
        f"[0-9]{{1,9}}{unit}"
        + "".join(f"([0-9]{{1,9}}{smaller})?" for smaller in "dhms"["dhms".index(unit) + 1 :])
        for unit in "dhms"
    )
)


class FrozenModel(BaseModel):
    """A part of the experiment file: strict, frozen, without unknown keys; docstrings become descriptions."""

    model_config = ConfigDict(
        strict=True,
        frozen=True,
        extra="forbid",
        validate_by_name=True,
        serialize_by_alias=True,
    )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        schema = handler(core_schema)
        properties = handler.resolve_ref_schema(schema).get("properties", {})
        for name, description in field_descriptions(cls).items():
            field = properties[cls.model_fields[name].alias or name]
            # A model that says the same of itself is enough.
            if handler.resolve_ref_schema(field).get("description") != description:
                field["description"] = description
        return schema


def text(pattern: str, expects: str, longest: int = 200) -> Any:
    """A text field whose errors, and editors, say `expects` instead of the pattern."""
    return Field(pattern=pattern, max_length=longest, json_schema_extra={"patternErrorMessage": expects})


def raise_problems(problems: Sequence[Problem]) -> None:
    """Raises all problems as one error of pydantic; returns where there are none.

    Raises:
        PydanticCustomError: Of type `PROBLEMS`.
    """
    if problems:
        described = "; ".join(f"{wrong}, expected {expected}" for _, wrong, expected in problems)
        # Braces would be read as fields of the message's template.
        template = described.replace("{", "(").replace("}", ")")
        raise PydanticCustomError(PROBLEMS, template, {"problems": list(problems)})


def plain_problems(value: object, path: KeyPath = ()) -> list[Problem]:
    """Finds what JSON cannot carry from one process to another without a change of value."""
    if value is None or isinstance(value, bool | str):
        return []
    if isinstance(value, int):
        fits = -(2**63) <= value < 2**63
        return [] if fits else [(path, "number too large", "a number of at most 64 bits")]
    if isinstance(value, float):
        return [] if math.isfinite(value) else [(path, "not a finite number", "a finite number")]
    if isinstance(value, list):
        return [problem for i, item in enumerate(value) for problem in plain_problems(item, (*path, i))]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return [p for key, item in value.items() for p in plain_problems(item, (*path, key))]
    return [(path, "wrong type", "a number, text, true or false, null, a list or a mapping with text keys")]


def check_plain(value: dict[str, Any]) -> dict[str, Any]:
    """Refuses what `plain_problems` finds.

    Raises:
        PydanticCustomError: Of type `PROBLEMS`.
    """
    raise_problems(plain_problems(value))
    return value


def sequence(value: object) -> object:
    """Reads a list as the tuple that a frozen model holds; `false` and null are an empty one."""
    if value is None or value is False:
        return ()
    return tuple(value) if isinstance(value, list) else value


def entries(value: object) -> object:
    """Reads a list as the tuple that a frozen model holds; null is an empty one."""
    return value if value is False else sequence(value)


def _seconds(value: object) -> object:
    found = re.fullmatch(_DURATION, value) if isinstance(value, str) and value else None
    if found is None:
        return value
    return sum(int(part[:-1]) * _UNITS[unit] for unit, part in found.groupdict().items() if part)


_DurationText: TypeAlias = Annotated[
    str, text(_DURATION_IN_SCHEMA, "a duration such as 30s, 15m, 2h or 1h30m")
]

_Seconds: TypeAlias = Annotated[int, Field(ge=1, le=LONGEST_SECONDS)]
Duration = Annotated[_Seconds, BeforeValidator(_seconds, json_schema_input_type=_DurationText | _Seconds)]
"""Seconds, at least one; a file may say `1h30m` as well."""
_SecondsOfADay: TypeAlias = Annotated[int, Field(ge=1, le=86_400)]
ShortDuration = Annotated[
    _SecondsOfADay, BeforeValidator(_seconds, json_schema_input_type=_DurationText | _SecondsOfADay)
]
"""As `Duration`, at most a day."""
_SecondsOfAnHour: TypeAlias = Annotated[int, Field(ge=0, le=3600)]
Pause = Annotated[
    _SecondsOfAnHour, BeforeValidator(_seconds, json_schema_input_type=_DurationText | _SecondsOfAnHour)
]
"""As `Duration`, at most an hour, and none at all."""
MaybeDuration = Annotated[
    _Seconds | None, BeforeValidator(_seconds, json_schema_input_type=_DurationText | _Seconds | None)
]
"""As `Duration`, or null."""

LARGEST_COUNT = 2**31 - 1
Count = Annotated[int, Field(ge=1, le=LARGEST_COUNT)]
CountOrZero = Annotated[int, Field(ge=0, le=LARGEST_COUNT)]
Number = Annotated[float, Field(allow_inf_nan=False)]
NumberFromZero = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Monitor = Annotated[
    str,
    # A monitor is also the name of a folder in the run directory.
    text(
        r"^[A-Za-z_][A-Za-z0-9_.-]*$",
        "the name of a metric, of letters, digits, '_', '-' and '.', such as val_loss",
        100,
    ),
]
Mode = Literal["auto", "min", "max"]

PlainMapping = Annotated[dict[str, Any], AfterValidator(check_plain)]
"""A mapping in a format that is not ours, such as Kubernetes' own."""
PlainMappings = Annotated[
    tuple[PlainMapping, ...],
    BeforeValidator(entries, json_schema_input_type=list[dict[str, Any]] | None),
]
"""A list of such mappings."""

KubernetesName = Annotated[
    str,
    text(
        r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$",
        "the name of a Kubernetes object: lower-case letters, digits, '-' and '.'",
        253,
    ),
]
