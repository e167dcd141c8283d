"""Tells people what happens in a run: from worker 0's supervisor alone, beside the work, each thing once.

`causes` decides what is told, `journal` records it in the run's directory, `outbox` sends it on a thread of
its own, and `notifier` holds them together.
"""
