"""Compares the generated files below k8s/ with what would be generated.

python -m k8s.dashboards            compares
python -m k8s.dashboards --write    regenerates
"""

import argparse
import difflib
import sys
from pathlib import Path

from k8s.dashboards.files import ROOT, generated


def main() -> int:
    """Compares or writes; returns 1 where files differ."""
    parser = argparse.ArgumentParser(
        description="Compares the dashboards and the PrometheusRule with their sources."
    )
    parser.add_argument("--write", action="store_true", help="regenerate them instead")
    write = parser.parse_args().write
    changed = {file: text for file, text in generated().items() if _kept(file) != text}
    for file, text in changed.items():
        if write:
            file.write_text(text, encoding="utf-8")
        sys.stdout.writelines(
            _difference(file, text) if not write else [f"wrote {file.relative_to(ROOT.parent)}\n"]
        )
    if changed and not write:
        sys.stderr.write("\nThe files differ from their sources; if that is meant: make dashboards\n")
        return 1
    return 0


def _kept(file: Path) -> str:
    return file.read_text(encoding="utf-8") if file.exists() else ""


def _difference(file: Path, text: str) -> list[str]:
    name = str(file.relative_to(ROOT.parent))
    old, new = _kept(file).splitlines(keepends=True), text.splitlines(keepends=True)
    return list(difflib.unified_diff(old, new, name, "generated", n=2))


if __name__ == "__main__":
    sys.exit(main())
