"""The real supervisor with training processes that need no TensorFlow."""

import sys
from pathlib import Path

from trainer.__main__ import main

if __name__ == "__main__":
    sys.exit(main(command=[sys.executable, str(Path(__file__).with_name("fake_training.py"))]))
