"""Who was there before: the sets by which duplicates are found (rule S5)."""

from random import Random

import numpy as np
import pytest

from relay.rewrite.bulk.seen import SeenHashes, SeenNumbers


@pytest.mark.parametrize(("kind", "dtype", "most"), [(SeenNumbers, np.int64, 10**10), (SeenHashes, np.uint64, 2**63)])
@pytest.mark.parametrize("spread", [4, 1000, None])
def test_a_key_is_new_once(
    kind: type[SeenNumbers | SeenHashes], dtype: type[np.int64] | type[np.uint64], most: int, spread: int | None
) -> None:
    """Of equal keys the first is new and no other, within one batch and over many, while the set grows."""
    chance, seen, known = Random(2), kind(), set[int]()
    for _ in range(12):
        keys = [chance.randrange(1, spread or most) for _ in range(chance.randrange(3000))]
        news = seen.add(np.array(keys).astype(dtype)).tolist()
        for key, new in zip(keys, news, strict=True):
            assert new == (key not in known)
            known.add(key)


def test_the_smallest_and_the_largest_numbers_are_kept_apart() -> None:
    """Every number of ten digits has a key of its own, from all noughts to all nines."""
    ends = [*range(8), *range(10**10 - 8, 10**10), *(number << 32 for number in range(1, 3))]
    seen = SeenNumbers()
    assert seen.add(np.array(ends)).all()
    assert not seen.add(np.array(ends)).any()


def test_keys_that_want_the_same_places_are_all_kept() -> None:
    """Neighbouring numbers, and numbers far apart by equal steps, are told apart like any others."""
    seen = SeenNumbers()
    for numbers in (np.arange(2_125_550_000, 2_125_560_000), np.arange(3 << 20, 10**10, 1 << 20)):
        assert seen.add(numbers).all()
        assert not seen.add(numbers[::-1]).any()
