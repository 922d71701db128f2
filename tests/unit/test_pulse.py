"""The pulse: which loops are stuck."""

from datetime import timedelta

from relay.pulse import Overdue, Pulse


class Clock:
    """A clock that a test winds."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        """The time."""
        return self.seconds


def test_a_loop_is_stuck_when_it_has_not_turned_for_its_rest_and_the_patience() -> None:
    """To the second; a turn later, it is well again, and the others never were stuck (rule T4)."""
    clock = Clock()
    pulse = Pulse(timedelta(seconds=60), clock)
    pulse.turn("outbox", timedelta(seconds=1))
    pulse.turn("intake.scan", timedelta(minutes=10))
    clock.seconds = 61
    assert pulse.overdue() == []
    clock.seconds = 64
    assert pulse.overdue() == [Overdue("outbox", timedelta(seconds=3))]
    pulse.turn("outbox", timedelta(seconds=1))
    assert pulse.overdue() == []


def test_after_the_end_nothing_is_expected() -> None:
    """What is drained turns no more, and that is well (rule T4)."""
    clock = Clock()
    pulse = Pulse(timedelta(seconds=60), clock)
    pulse.turn("outbox")
    pulse.finish()
    clock.seconds = 1_000
    assert pulse.overdue() == []
