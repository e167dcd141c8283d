"""One command of `perdure` per file: arguments, one call, one rendering of the result."""
