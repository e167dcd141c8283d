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
    """The docstring below each field of a model at the top of its module, by the field's name.

    Args:
        model: A class whose own body has the fields.

    Raises:
        OSError: The source of its module is not there.
    """
    found: dict[str, str] = {}
    for field, below in pairwise(_classes(model.__module__)[model.__name__].body):
        match field, below:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str() as text)),
            ):
                found[name] = inspect.cleandoc(text)
    return found


@cache
def _classes(module: str) -> dict[str, ast.ClassDef]:
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
