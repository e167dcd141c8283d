"""An experiment's Python, read and never run."""

import ast
import warnings


def parse(content: bytes) -> ast.Module:
    """Parses a module; what Python would warn of in it is for whoever runs it.

    Raises:
        SyntaxError: It is no Python.
        ValueError: It holds a null character.
        RecursionError: It is nested too deeply.
        MemoryError: The same, found by the parser.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(content)
