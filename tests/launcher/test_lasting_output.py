"""What a run prints where nobody can take it any more."""

import subprocess
import sys

import pytest

PROGRAM = """
import sys
from launcher.lasting_output import lasting_output

sys.stdin.readline()
with lasting_output():
    for _ in range(100_000):
        print("a line of a run")
    sys.stdout.flush()
    print("and its last word", file=sys.stderr, flush=True)
sys.exit(7)
"""


@pytest.mark.parametrize("out", ["pipe", "/dev/full"])
def test_a_broken_pipe_or_a_full_disk_ends_nothing(out: str) -> None:
    with open("/dev/full", "w") as full:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if out == "pipe" else full,
            stderr=subprocess.PIPE,
            text=True,
        )
    if process.stdout is not None:
        process.stdout.close()
    _, told = process.communicate("now\n", timeout=60)
    # Nothing that was left over fails at the end of the process either: its exit code would be 120.
    assert (process.returncode, told) == (7, "and its last word\n")
