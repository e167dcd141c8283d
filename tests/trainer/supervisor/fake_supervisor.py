"""The real supervisor with training processes that need no TensorFlow, and with patience.

A webhook may take an hour to answer: what waited for it would be seen to wait, by any test.
"""

import sys
from functools import partial
from pathlib import Path

from trainer.__main__ import main
from trainer.http_post import post
from trainer.supervisor.notifications import notifier

if __name__ == "__main__":
    notifier.post = partial(post, seconds=3600.0)
    sys.exit(main(command=[sys.executable, str(Path(__file__).with_name("fake_training.py"))]))
