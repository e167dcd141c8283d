"""A real supervisor over fake training processes; or, for worker 1, a program that only crashes."""

import os
import sys
from pathlib import Path

from trainer.__main__ import main

TRAINING = Path(__file__).with_name("fake_training.py")

if __name__ == "__main__":
    if os.environ.get("CRASHING_SUPERVISORS"):
        sys.exit(1)
    sys.exit(main(sys.argv[1:], [sys.executable, str(TRAINING)]))
