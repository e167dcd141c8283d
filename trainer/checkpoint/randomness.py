"""Finds random state that lies outside variables, which no checkpoint can hold."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from trainer.contract.exit_codes import ExitCode
from trainer.contract.refusal import RefusedError

_PYTHON_OPS = frozenset({"PyFunc", "PyFuncStateless", "EagerPyFunc"})
# They draw from the state variable of a tf.random.Generator, which Keras does not know.
_GENERATOR_OPS = frozenset(
    {
        "RngReadAndSkip",
        "RngSkip",
        "StatefulRandomBinomial",
        "StatefulStandardNormal",
        "StatefulStandardNormalV2",
        "StatefulTruncatedNormal",
        "StatefulUniform",
        "StatefulUniformFullInt",
        "StatefulUniformInt",
    }
)
_KERNEL_FIX = (
    "its counter lies inside the kernel and starts anew in every process: use keras.random.* with a "
    "keras.random.SeedGenerator made in the layer's constructor, or tf.random.stateless_*"
)
_PYTHON_FIX = (
    "it calls Python, whose state nobody can save: write it with TensorFlow's or Keras's operations, or do "
    "it in the data function, where context.rng(epoch, index) gives numbers that depend on nothing else"
)
_GENERATOR_FIX = (
    "a tf.random.Generator's state is no variable of the model: use keras.random.* with a "
    "keras.random.SeedGenerator made in the layer's constructor"
)


@dataclass(frozen=True)
class Finding:
    """An operation of a step that keeps state where no checkpoint reaches.

    Attributes:
        node: The operation's name in the graph, which holds the layer's.
        op: Its kind.
        function: The function that it stands in; empty for the step itself.
        fix: Why that is so and what to do, for people.
    """

    node: str
    op: str
    function: str
    fix: str

    def __str__(self) -> str:
        return f"{self.op} at {self.node}: {self.fix}"


class HiddenRandomnessError(RefusedError, ValueError):
    """A step keeps random state where no checkpoint reaches, so that the same bits cannot be promised."""

    exit_code = ExitCode.USAGE

    def __init__(self, findings: Iterable[Finding]) -> None:
        lines = ["deterministic: true cannot be kept (or set it to false):", *map(str, findings)]
        super().__init__("\n  ".join(lines))


def hidden_randomness(concrete_function: Any) -> list[Finding]:
    """Looks through a traced step and every function that it calls, branches and loop bodies among them.

    Args:
        concrete_function: A `tf.types.experimental.ConcreteFunction`.

    Returns:
        The findings, the same operation once, in the order of the graph.
    """
    graph = concrete_function.graph.as_graph_def()
    bodies = [("", graph.node), *((f.signature.name, f.node_def) for f in graph.library.function)]
    found = [finding for function, nodes in bodies for finding in _findings(function, nodes)]
    # A function and its inlined or gradient copies hold the same node.
    return list({(finding.node, finding.op): finding for finding in reversed(found)}.values())[::-1]


def _findings(function: str, nodes: Iterable[Any]) -> Iterator[Finding]:
    for node in nodes:
        fix = _fix_for(node)
        if fix is not None:
            yield Finding(node.name, node.op, function, fix)


def _fix_for(node: Any) -> str | None:
    if node.op in _PYTHON_OPS:
        return _PYTHON_FIX
    if node.op in _GENERATOR_OPS:
        return _GENERATOR_FIX
    # Every operation with a counter of its own has these two; stateless ones take their seed as an input.
    if "seed" in node.attr and "seed2" in node.attr and not _is_off(node):
        return _KERNEL_FIX
    return None


def _is_off(node: Any) -> bool:
    """Whether its random part is not used: cuDNN's recurrent layers without dropout."""
    return "dropout" in node.attr and node.attr["dropout"].f == 0.0
