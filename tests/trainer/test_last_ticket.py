import os
import signal
import subprocess
import sys

import pytest

from trainer.contract.position import Phase, Position
from trainer.last_ticket import LastTicket

WRITER = """
import sys
from trainer.contract.position import Phase, Position
from trainer.last_ticket import LastTicket

page = LastTicket(int(sys.argv[1]))
page.close()
step = 0
while True:
    step += 1
    page.began(Position(step, Phase.TRAINING, step))
    if step == 1000:
        print("ready", flush=True)
"""


@pytest.mark.parametrize("phase", list(Phase))
def test_the_ticket_that_was_begun_last_is_read_back(phase: Phase) -> None:
    page = LastTicket.create()
    assert page.position is None
    for position in (Position(0, phase, 0), Position(999_999, phase, 10**12)):
        page.began(position)
        assert page.position == position
    page.close()


def test_what_a_killed_process_noted_is_still_there_and_whole() -> None:
    page = LastTicket.create()
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(page.descriptor)],
        pass_fds=(page.descriptor,),
        stdout=subprocess.PIPE,
    )
    page.close()
    assert writer.stdout is not None
    assert writer.stdout.readline() == b"ready\n"
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    position = page.position
    assert position is not None
    assert position == Position(position.step, Phase.TRAINING, position.step)
    assert position.step >= 1000
