"""A real supervisor over fake training processes; or a program that only crashes, or repeats its orders."""

import os
import socket
import sys
from pathlib import Path

from trainer.__main__ import main

TRAINING = Path(__file__).with_name("fake_training.py")

if __name__ == "__main__":
    if os.environ.get("CRASHING_SUPERVISORS"):
        sys.exit(1)
    if os.environ.get("TELLING_SUPERVISORS"):
        with socket.socket(fileno=int(sys.argv[sys.argv.index("--channel") + 1])) as channel:
            print(channel.makefile().readline(), end="", flush=True)
        sys.exit(64)
    sys.exit(main(sys.argv[1:], [sys.executable, str(TRAINING)]))
