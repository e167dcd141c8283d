"""What the text below each field of a model says, read from its source only when somebody asks.

pydantic's own `use_attribute_docstrings` does so for every model whenever that is imported, which is a tenth
of the time of `perdure validate`.
"""

import ast
import inspect
import sys
from functools import cache
from itertools import pairwise


def field_descriptions(model: type) -> dict[str, str]:
    """The docstring below each field of a model, by the field's name; none where its source is not there.

    Args:
        model: A class at the top of its module, whose own body has the fields.
    """
    definition = _classes(model.__module__).get(model.__name__)
    found: dict[str, str] = {}
    for field, below in pairwise(definition.body if definition else []):
        match field, below:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str() as text)),
            ):
                found[name] = inspect.cleandoc(text)
    return found


@cache
def _classes(module: str) -> dict[str, ast.ClassDef]:
    try:
        tree = ast.parse(inspect.getsource(sys.modules[module]))
    except (OSError, TypeError):
        # Installed without its source: whoever asks what is expected of a value is told without descriptions.
        return {}
    return {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
