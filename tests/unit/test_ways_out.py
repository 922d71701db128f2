"""Every state has a way out: by itself, or by a command that a person is shown."""

import pytest

from relay.cli import COMMANDS
from relay.cli.pasting import DECISIONS, WAITS_FOR_A_PERSON
from relay.lifecycle import DELIVERY, EXPORT, DeliveryEvent, ExportEvent
from relay.model import DeliveryState, ExportState

EVENTS = {"hold": "held", "release": "released", "requeue": "requeued", "discard": "discarded"}
"""What each decision makes happen."""

ENDS_BY_ITSELF = {DeliveryState.SENDING, ExportState.RECEIVED}


@pytest.mark.parametrize("state", [*DeliveryState, *ExportState])
def test_every_state_has_a_way_out_or_is_final(state: DeliveryState | ExportState) -> None:
    """What nothing ends is final; all else ends by itself or by a command, and each command is one that is allowed."""
    leads_to = DELIVERY[state] if isinstance(state, DeliveryState) else EXPORT[state]
    decisions = DECISIONS.get(state, ())
    assert bool(leads_to) == bool(decisions or state in ENDS_BY_ITSELF)
    happen = DeliveryEvent if isinstance(state, DeliveryState) else ExportEvent
    assert all(happen(EVENTS[decision]) in leads_to for decision in decisions)
    assert set(decisions) <= set(COMMANDS)


def test_what_waits_for_a_person_can_be_ended_by_one() -> None:
    """And every such state can be given up."""
    assert all("discard" in decisions for state, decisions in DECISIONS.items() if state in WAITS_FOR_A_PERSON)
    assert set(DECISIONS) >= WAITS_FOR_A_PERSON
