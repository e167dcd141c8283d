"""Golden files: what is rendered, kept so that a change of it shows in a diff.

python -m tests.launcher.manifests.golden           compares
python -m tests.launcher.manifests.golden --write   regenerates
"""

import argparse
import difflib
import sys
from pathlib import Path

from launcher.manifests import KubeVersion, render, to_yaml
from tests.launcher.manifests.plans import DIGITS, EVERYTHING, NEW, OLD, plan

FOLDER = Path(__file__).parent / "golden"
CASES = [(folder, server) for folder in (DIGITS, EVERYTHING) for server in (OLD, NEW)]


def golden_file(folder: Path, server: KubeVersion) -> Path:
    return FOLDER / f"{folder.name}-{server}.yaml"


def golden_text(folder: Path, server: KubeVersion) -> str:
    return to_yaml(render(plan(folder), server))


def main() -> int:
    parser = argparse.ArgumentParser(description="Compares the golden files with what is rendered.")
    parser.add_argument("--write", action="store_true", help="regenerate them instead")
    write = parser.parse_args().write
    differ = False
    for folder, server in CASES:
        file, text = golden_file(folder, server), golden_text(folder, server)
        kept = file.read_text(encoding="utf-8") if file.exists() else ""
        if write:
            file.parent.mkdir(exist_ok=True)
            file.write_text(text, encoding="utf-8")
        elif text != kept:
            differ = True
            lines = difflib.unified_diff(
                kept.splitlines(), text.splitlines(), file.name, "rendered", "", "", 2
            )
            print("\n".join(lines))
    if differ:
        print(
            "\nWhat is rendered differs from the golden files; if that is meant: make golden", file=sys.stderr
        )
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
