"""A supervisor whose training processes note when each part of their start began and ended."""

import sys

from trainer.__main__ import main

if __name__ == "__main__":
    sys.exit(main(command=[sys.executable, "-P", "-m", "benchmarks.traced_training"]))
