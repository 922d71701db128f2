"""Clients never have so many files open that the service lacks descriptors of its own (rule L11)."""

import pytest

from relay.landing.codec import RefusedError
from relay.landing.handles import DESCRIPTORS_EACH, LEAST, RESERVED, Handles


def test_one_account_leaves_half_to_the_others() -> None:
    """Whatever one has open, another may still open files; the refusal says why."""
    handles = Handles(RESERVED + DESCRIPTORS_EACH * 200)
    for _ in range(100):
        handles.take("greedy")
    with pytest.raises(RefusedError, match="At most 100 files of an account"):
        handles.take("greedy")
    for _ in range(100):
        handles.take("other")
    with pytest.raises(RefusedError, match="Too many files are open at the relay"):
        handles.take("third")
    handles.give_back("greedy")
    handles.take("third")


def test_a_small_limit_leaves_enough_for_one_session() -> None:
    """A host that allows few descriptors still takes uploads."""
    handles = Handles(256)
    assert (handles.most, handles.most_of_an_account) == (LEAST, LEAST)
