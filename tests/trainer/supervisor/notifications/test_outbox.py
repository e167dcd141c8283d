"""One channel's messages on a real store: what is sent, how often, and what a killed leader leaves behind."""

import threading
from collections.abc import Callable
from pathlib import Path

from tests.trainer.supervisor.notifications.webhook import wait_until
from trainer.contract.telemetry import Delivery
from trainer.http_post import Answer
from trainer.supervisor.notifications import outbox as module
from trainer.supervisor.notifications.journal import Journal
from trainer.supervisor.notifications.notification import Notification
from trainer.supervisor.notifications.outbox import Outbox, Times

DELIVERED, AGAIN = Answer(delivered=True), Answer(again=True, why="HTTP 503")
NOW = 1e9


class Clock:
    """Seconds that pass when somebody asks for them, so that no pause takes any."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 100.0
        return self.now


class Channel:
    """An outbox, and what came of it."""

    def __init__(
        self,
        directory: Path,
        *answers: Answer,
        wall: float = NOW,
        slow: bool = False,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._answers = list(answers)
        self.sent: list[tuple[str, int]] = []
        self.told: list[tuple[str, Delivery]] = []
        self.go = threading.Event()
        if not slow:
            self.go.set()
        self.journal = Journal(str(directory), "slack-X")
        times = Times(clock or Clock(), lambda: wall, lambda: 0.5)
        self.outbox = Outbox(self.journal, self._send, self._told, times)

    def put(self, *keys: str, occasion: str = "end", final: bool = False) -> "Channel":
        for key in keys:
            self.outbox.put(Notification(key, occasion, f"text of {key}", NOW, 1, final=final))
        return self

    def settled(self) -> "Channel":
        wait_until(lambda: self.outbox.idle)
        return self

    def _send(self, notification: Notification, left_out: int) -> Answer:
        self.sent.append((notification.key, left_out))
        self.go.wait()
        return self._answers.pop(0) if self._answers else DELIVERED

    def _told(self, notification: Notification, delivery: Delivery, _: str) -> None:
        self.told.append((notification.key, delivery))


def keys(channel: Channel) -> list[str]:
    return [key for key, _ in channel.sent]


def test_each_key_is_sent_once_in_the_order_of_its_coming(tmp_path: Path) -> None:
    channel = Channel(tmp_path).put("a", "b", "a").settled().put("b", "c").settled()
    assert keys(channel) == ["a", "b", "c"]
    assert channel.told == [(key, Delivery.DELIVERED) for key in "abc"]


def test_what_failed_is_tried_again_and_counts_once(tmp_path: Path) -> None:
    channel = Channel(tmp_path, AGAIN, AGAIN).put("a").settled()
    assert keys(channel) == ["a", "a", "a"]
    assert channel.told == [("a", Delivery.DELIVERED)]
    entry = channel.journal.entries()["a"]
    assert (entry.tries, entry.failed, entry.done) == ({1, 2, 3}, {1, 2}, True)


def test_what_is_refused_unanswered_or_too_old_is_not_tried_again(tmp_path: Path) -> None:
    channel = Channel(tmp_path, Answer(why="HTTP 404"), Answer(certain=False)).put("a", "b").settled()
    assert keys(channel) == ["a", "b"]
    assert channel.told == [("a", Delivery.REJECTED), ("b", Delivery.UNANSWERED)]
    old = Channel(tmp_path, AGAIN, wall=NOW + module.GIVE_UP_SECONDS + 1).put("c").settled()
    assert (keys(old), old.told) == (["c"], [("c", Delivery.GAVE_UP)])


def test_the_next_message_says_how_many_were_lost_before_it(tmp_path: Path) -> None:
    lost = Answer(why="HTTP 404")
    channel = Channel(tmp_path, lost, lost).put("a", "b", "c", "d").settled()
    assert channel.sent == [("a", 0), ("b", 1), ("c", 2), ("d", 0)]


def test_a_later_leader_sends_nothing_twice(tmp_path: Path) -> None:
    Channel(tmp_path, DELIVERED, Answer(why="HTTP 404")).put("a", "b").settled()
    later = Channel(tmp_path).put("a", "b", "c").settled()
    assert keys(later) == ["c"]


def test_a_later_leader_sends_what_an_earlier_one_had_only_wanted_or_failed_at(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path), "slack-X")
    for key in ("wanted", "failed"):
        journal.want(Notification(key, "end", f"text of {key}", NOW, 1))
    assert journal.begin("failed", 1)
    journal.fail("failed", 1, "HTTP 503")
    later = Channel(tmp_path).settled()
    assert sorted(keys(later)) == ["failed", "wanted"]
    assert later.journal.entries()["failed"].tries == {1, 2}


def test_what_was_under_way_when_a_leader_died_is_not_sent_again_and_counts_as_lost(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path), "slack-X")
    journal.want(Notification("a", "end", "text", NOW, 1))
    assert journal.begin("a", 1)
    later = Channel(tmp_path).put("a").settled()
    assert (later.sent, later.told) == ([], [("a", Delivery.UNANSWERED)])
    # And that is known once.
    assert Channel(tmp_path).put("a").settled().told == []


def test_of_two_leaders_at_once_one_sends(tmp_path: Path) -> None:
    channels = [Channel(tmp_path) for _ in range(4)]
    for channel in channels:
        channel.settled()
    for channel in channels:
        channel.put(*(f"key-{number}" for number in range(20)))
    sent = [key for channel in channels for key in keys(channel.settled())]
    assert sorted(sent) == sorted(f"key-{number}" for number in range(20))


def test_a_crash_loop_does_not_fill_a_chat_and_hides_no_failure(tmp_path: Path) -> None:
    channel = Channel(tmp_path, slow=True, clock=lambda: 0.0)
    channel.put(*(f"restart-{n}" for n in range(30)), occasion="restart").put("failed", occasion="failure")
    channel.go.set()
    channel.settled()
    assert keys(channel) == [*(f"restart-{n}" for n in range(module.MOST_AT_ONCE)), "failed"]
    assert sum(delivery is Delivery.RATE_LIMITED for _, delivery in channel.told) == 20
    assert channel.sent[-1] == ("failed", 20)


def test_of_too_many_that_wait_the_oldest_go_and_are_counted(tmp_path: Path) -> None:
    channel = Channel(tmp_path, slow=True).put("first")
    wait_until(lambda: keys(channel) == ["first"])
    channel.put(*(f"key-{n}" for n in range(module.MOST_WAITING + 3)))
    overflowed = [key for key, delivery in channel.told if delivery is Delivery.OVERFLOWED]
    assert overflowed == ["key-0", "key-1", "key-2"]
    channel.go.set()
    channel.settled()
    assert channel.sent[1] == ("key-3", 3)
    assert len(channel.sent) == 1 + module.MOST_WAITING


def test_what_is_left_at_the_end_is_told_and_is_the_next_leaders(tmp_path: Path) -> None:
    channel = Channel(tmp_path, *[AGAIN] * 50).put("a", "b")
    channel.outbox.end()
    channel.settled()
    channel.outbox.close()
    assert [key for key, delivery in channel.told if delivery is Delivery.LEFT] == ["a", "b"]
    assert 0 < keys(channel).count("b") < 10
    later = Channel(tmp_path).settled()
    assert sorted(keys(later)) == ["a", "b"]


def test_what_cannot_be_recorded_waits_but_for_a_runs_last_word(tmp_path: Path) -> None:
    blocked = tmp_path / "run"
    blocked.write_text("a file where the run's directory should be")
    channel = Channel(blocked).put("restart").put("failed", occasion="failure", final=True)
    wait_until(lambda: keys(channel) == ["failed"])
    assert channel.told == [("failed", Delivery.DELIVERED)]
    blocked.unlink()
    wait_until(lambda: keys(channel) == ["failed", "restart"])
