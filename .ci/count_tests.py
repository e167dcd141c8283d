"""Prints what pytest's JUnit report counted; fails unless every suite under tests/ really ran."""
# ruff: noqa: T201, S314  # its output is its purpose; the report is our own

import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree as ET

# Run by a target of its own, where there is a cluster.
ELSEWHERE = {"cluster"}


def main(report: Path, *only: str) -> int:
    """Counts the outcomes of each suite.

    Args:
        report: The file that pytest wrote.
        only: The suites that were to run, and none of whose tests may have been skipped; if there are none,
            all that need nothing special, whose tests may.

    Returns:
        0 if every suite has a test that passed, and none failed; 1 otherwise.
    """
    if not report.exists():
        print(f"pytest left no report at {report}: it did not run to its end")
        return 1
    counts: dict[str, Counter[str]] = {suite: Counter() for suite in only or _suites()}
    for case in ET.parse(report).iter("testcase"):
        folder = case.get("classname", "").split(".")[1:2]
        counts.setdefault("".join(folder), Counter())[_outcome(case)] += 1
    for suite, outcomes in counts.items():
        told = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
        print(f"tests/{suite}: {told or 'no test ran'}")
    total = sum(counts.values(), Counter())
    print(f"in all: {total['passed']} passed, {total['skipped']} skipped, {total['failed']} failed")
    idle = [suite for suite, outcomes in counts.items() if not outcomes["passed"]]
    if idle:
        print(f"no test passed in {', '.join(f'tests/{suite}' for suite in idle)}")
    if only and total["skipped"]:
        print("a test was skipped, where none may be")
    return int(bool(idle) or not counts or total["failed"] > 0 or (bool(only) and total["skipped"] > 0))


def _suites() -> list[str]:
    paths = (path.relative_to("tests") for path in Path("tests").rglob("test_*.py"))
    return sorted({path.parts[0] for path in paths if len(path.parts) > 1} - ELSEWHERE)


def _outcome(case: ET.Element) -> str:
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    return "skipped" if case.find("skipped") is not None else "passed"


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *sys.argv[2:]))
