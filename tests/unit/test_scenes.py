"""The scenes in which the daemon dies leave no event of the catalogue out."""

from parts.scenes import OUT_OF_REACH, SCENES

from relay.log import Event


def test_every_event_is_died_at_or_out_of_reach() -> None:
    """A new event is given to a scene, which then has to reach it, or is said to be out of reach, with the reason."""
    reached = frozenset().union(*(scene.reaches for scene in SCENES.values()))
    assert reached | OUT_OF_REACH.keys() == set(Event)
    assert not reached & OUT_OF_REACH.keys()
    assert all(OUT_OF_REACH.values())
