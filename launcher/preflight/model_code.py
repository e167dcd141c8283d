"""What can be read in an experiment's code without importing it: the names of the metrics that epochs give.

A name counts as missing only where everything that could give it was read. Whatever is out of sight (a class
of the user's own, a helper of another module, a metric by a variable) makes all of it unknown.
"""

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeGuard

from launcher.python_code import parse

_LIBRARIES = sys.stdlib_module_names | {"keras", "numpy", "tensorflow"}
"""Modules whose functions compile no model of the user's."""
_MODELS = frozenset({"Model", "Sequential"})
"""Keras's classes whose epochs give what they were compiled with, and nothing more."""
_NAMED_METRICS = {
    "AUC": "auc",
    "BinaryAccuracy": "binary_accuracy",
    "BinaryCrossentropy": "binary_crossentropy",
    "CategoricalAccuracy": "categorical_accuracy",
    "CategoricalCrossentropy": "categorical_crossentropy",
    "F1Score": "f1_score",
    "KLDivergence": "kl_divergence",
    "MeanAbsoluteError": "mean_absolute_error",
    "MeanAbsolutePercentageError": "mean_absolute_percentage_error",
    "MeanSquaredError": "mean_squared_error",
    "Precision": "precision",
    "R2Score": "r2_score",
    "Recall": "recall",
    "RootMeanSquaredError": "root_mean_squared_error",
    "SparseCategoricalAccuracy": "sparse_categorical_accuracy",
    "SparseCategoricalCrossentropy": "sparse_categorical_crossentropy",
    "SparseTopKCategoricalAccuracy": "sparse_top_k_categorical_accuracy",
    "TopKCategoricalAccuracy": "top_k_categorical_accuracy",
}
"""Names that Keras gives to its metrics; it numbers some of them: auc, auc_1."""


@dataclass(frozen=True)
class MetricNames:
    """The metrics that a model is compiled with.

    Attributes:
        names: Their names.
    """

    names: tuple[str, ...]

    def may_give(self, monitor: str) -> bool:
        """Whether an epoch may give a value of this name; a model of several outputs puts theirs before."""
        name = monitor.removeprefix("val_")
        if name in ("loss", "learning_rate") or name.endswith("_loss"):
            return True
        return any(re.fullmatch(f"(.+_)?{re.escape(known)}(_[0-9]+)?", name) for known in self.names)


def compiled_metrics(code: Mapping[str, bytes], reference: str) -> MetricNames | None:
    """The metrics of the model that `file.py:name` builds; None where they cannot be told for certain.

    Args:
        code: Content by path of the experiment's files.
        reference: Where the model is built.
    """
    built = _function(code, reference)
    if built is None:
        return None
    module, function = built
    if not _is_plain(module):
        return None
    compiles = [call for call in _calls(module) if _attribute(call.func) == "compile"]
    if len(compiles) != 1 or compiles[0] not in list(_calls(function)):
        return None
    return _metrics_of(compiles[0], function)


def gives_no_validation(code: Mapping[str, bytes], reference: str) -> bool:
    """Whether every `return` of the data function gives None in place of validation data, literally."""
    built = _function(code, reference)
    if built is None:
        return False
    returns = [each for each in ast.walk(built[1]) if isinstance(each, ast.Return)]
    nested = [each for each in ast.walk(built[1]) if isinstance(each, ast.FunctionDef | ast.Lambda)]
    return bool(returns) and len(nested) == 1 and all(_is_without(each.value) for each in returns)


def _is_without(value: ast.expr | None) -> bool:
    if not isinstance(value, ast.Tuple) or len(value.elts) != 2:
        return False
    validation = value.elts[1]
    return isinstance(validation, ast.Constant) and validation.value is None


def _function(code: Mapping[str, bytes], reference: str) -> tuple[ast.Module, ast.FunctionDef] | None:
    """The module of a reference and the one plain function of its name there."""
    path, _, name = reference.partition(":")
    if path not in code:
        return None
    try:
        module = parse(code[path])
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    found = [each for each in ast.walk(module) if isinstance(each, ast.FunctionDef) and each.name == name]
    return (module, found[0]) if len(found) == 1 and not found[0].decorator_list else None


def _is_plain(module: ast.Module) -> bool:
    """Whether nothing in a module can hide a metric: no classes, and libraries alone are imported."""
    for each in ast.walk(module):
        if isinstance(each, ast.ClassDef):
            return False
        if isinstance(each, ast.Import) and not all(_is_library(alias.name) for alias in each.names):
            return False
        if isinstance(each, ast.ImportFrom) and (each.level or not _is_library(each.module or "")):
            return False
    return True


def _is_library(module: str) -> bool:
    return module.partition(".")[0] in _LIBRARIES


def _calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (each for each in ast.walk(tree) if isinstance(each, ast.Call))


def _attribute(function: ast.expr) -> str:
    """The last part of what is called: `Model` of `keras.Model`."""
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _metrics_of(call: ast.Call, function: ast.FunctionDef) -> MetricNames | None:
    """The metrics of a call of `compile`, if it is called on a plain model with literal arguments."""
    if not _is_plain_model(call.func, function) or len(call.args) > 2:
        return None
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    if None in given or any(isinstance(argument, ast.Starred) for argument in call.args):
        return None
    names: list[str] = []
    for key in ("metrics", "weighted_metrics"):
        found = _names(given.get(key))
        if found is None:
            return None
        names += found
    return MetricNames(tuple(names))


def _is_plain_model(compiled: ast.expr, function: ast.FunctionDef) -> bool:
    """Whether `model` of `model.compile` is always new, of Keras's own classes, and what is returned."""
    if not isinstance(compiled, ast.Attribute) or not isinstance(compiled.value, ast.Name):
        return False
    model = compiled.value.id
    values = [
        each.value
        for each in ast.walk(function)
        if isinstance(each, ast.Assign) and any(_is_named(target, model) for target in each.targets)
    ]
    stored = [
        each for each in ast.walk(function) if _is_named(each, model) and isinstance(each.ctx, ast.Store)
    ]
    changed = [
        each
        for each in ast.walk(function)
        if isinstance(each, ast.Attribute)
        and isinstance(each.ctx, ast.Store)
        and _is_named(each.value, model)
    ]
    returned = [each.value for each in ast.walk(function) if isinstance(each, ast.Return)]
    # Loops, unpacking and the like store something else in it.
    if not values or len(stored) != len(values) or changed:
        return False
    plain = (isinstance(value, ast.Call) and _attribute(value.func) in _MODELS for value in values)
    return all(plain) and all(_is_named(value, model) for value in returned)


def _is_named(node: ast.AST | None, name: str) -> TypeGuard[ast.Name]:
    return isinstance(node, ast.Name) and node.id == name


def _names(metrics: ast.expr | None) -> list[str] | None:
    """Names of a literal list of metrics; None where one of them is not literal."""
    if metrics is None or (isinstance(metrics, ast.Constant) and metrics.value is None):
        return []
    if not isinstance(metrics, ast.List):
        return None
    names = [_name(each) for each in metrics.elts]
    return None if None in names else [name for name in names if name is not None]


def _name(metric: ast.expr) -> str | None:
    if isinstance(metric, ast.Constant) and isinstance(metric.value, str):
        return metric.value
    if not isinstance(metric, ast.Call) or _attribute(metric.func) not in _NAMED_METRICS:
        return None
    # A name may also be given by position, somewhere among the other arguments.
    if any(keyword.arg is None for keyword in metric.keywords) or metric.args:
        return None
    for keyword in metric.keywords:
        if keyword.arg == "name":
            literal = keyword.value
            is_text = isinstance(literal, ast.Constant) and isinstance(literal.value, str)
            return str(literal.value) if isinstance(literal, ast.Constant) and is_text else None
    return _NAMED_METRICS[_attribute(metric.func)]
