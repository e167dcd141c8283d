"""A training process that does nothing but to import ahead, in a way that its environment names."""

import argparse
import os
import socket
import time
from pathlib import Path

from trainer.contract.messages import (
    Assignment,
    ImportAhead,
    Imported,
    LibraryModule,
    LineBuffer,
    Progress,
    Started,
    Warm,
    decode,
    encode,
)
from trainer.lifeline import die_with_parent


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--channel", type=int)
    parser.add_argument("--parent", type=int)
    options = parser.parse_args()
    die_with_parent(options.parent)
    channel, lines = socket.socket(fileno=options.channel), LineBuffer()
    channel.sendall(encode(Warm(os.getpid())))
    while data := channel.recv(65536):
        for line in lines.feed(data):
            message = decode(line)
            if isinstance(message, ImportAhead):
                import_badly(Path(os.environ["SEEN"]))
            if isinstance(message, Assignment):
                channel.sendall(encode(Started(0, os.getpid())))
                channel.sendall(encode(Imported((LibraryModule("library", ("/library.py",)),))))
                channel.sendall(encode(Progress(0, 0, "training", 0, 1, "training")))


def import_badly(seen: Path) -> None:
    (seen / str(os.getpid())).touch()
    while os.environ["IMPORT"] == "hangs" or not (seen / "die").exists():
        time.sleep(0.01)
    os._exit(3)


if __name__ == "__main__":
    main()
