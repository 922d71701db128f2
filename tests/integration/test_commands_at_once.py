"""Many commands and the service at work on one state at once: nothing is corrupted, and no decision is lost."""

import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest
from parts.people import people
from parts.service import DEADLINE_SECONDS, RELAY, Service, Setup, relay
from parts.sftp import sftp
from parts.sshd import NEEDS_SSHD, Sshd

from relay.lifecycle import DELIVERY, DeliveryEvent
from relay.model import DeliveryState
from relay.store import Store

pytestmark = [NEEDS_SSHD, pytest.mark.timeout(600)]

SEGMENTS = 6
DECISIONS = ("release", "discard", "hold")
"""What several people decide about each list at the same moment."""


def test_decisions_of_many_at_once_are_all_followed_or_refused(tmp_path: Path) -> None:
    """Each list has one end, each decision that was followed is in the history with its person, reason and time."""
    with Sshd(tmp_path / "upstream") as upstream:
        setup = Setup(tmp_path / "relay", upstream)
        setup.route(sections='[guards]\nnew_segment = "hold"')
        with Service(setup) as service:
            content = "".join(f"{it.phone},S{it.line[-1]}\n" for it in people(800) if int(it.line[-1]) < SEGMENTS)
            local = tmp_path / "to-upload"
            local.write_text(content)
            sftp(service.port, "amperity", setup.client_key, f'put "{local}" /uploads/list.csv')
            service.wait_for("delivery.held", count=SEGMENTS)
            lists = [it["delivery"] for it in service.named("delivery.held")]
            followed = decide_at_once(setup, lists)
            # Whatever is on its way by now comes to its end; the service has gone on all the while.
            until_nothing_moves(setup)
            assert service.is_running
            assert service.stop() == 0
        check_soundness(setup, lists, followed)
        check_upstream(setup, upstream)


def decide_at_once(setup: Setup, lists: list[str]) -> list[tuple[str, str, str]]:
    """Have a person for each list and decision give it, all at once; return those that were followed, and by whom."""
    given: list[tuple[tuple[str, str, str], subprocess.Popen[str]]] = []
    for number, it in enumerate(lists):
        for decision in DECISIONS:
            person = f"{decision}-{number}"
            command = [*RELAY, "--config", str(setup.config), decision, it, "--reason", f"as {person} says"]
            at_work = subprocess.Popen(
                ["env", f"SUDO_USER={person}", *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            given.append(((it, decision, person), at_work))
    followed = []
    for who, at_work in given:
        out, err = at_work.communicate(timeout=DEADLINE_SECONDS * 4)
        assert "Traceback" not in err
        assert at_work.returncode in {0, 1}
        assert out if at_work.returncode == 0 else "hint: " in err
        if at_work.returncode == 0:
            followed.append(who)
    return followed


def until_nothing_moves(setup: Setup) -> None:
    """Wait until no list is on its way any more; those that somebody holds stay."""
    moving = {DeliveryState.QUEUED, DeliveryState.SENDING, DeliveryState.DEFERRED}
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        store = Store.open_beside(setup.state / "relay.db", read_only=True)
        states = {it.state for it in store.deliveries()}
        store.close()
        if not states & moving:
            return
        assert time.monotonic() < deadline, states


def check_soundness(setup: Setup, lists: list[str], followed: list[tuple[str, str, str]]) -> None:
    """The database is whole, each history is one that the table allows, and has exactly the decisions followed."""
    lines = {"release": "delivery.released", "discard": "delivery.discarded", "hold": "delivery.held"}
    store = Store.open_beside(setup.state / "relay.db", read_only=True)
    store.check_sound()
    decided = Counter[tuple[str, str, str]]()
    for it in lists:
        state: DeliveryState | None = None
        for moved in store.transitions(it):
            event = moved.event.removeprefix("delivery.").replace("sending", "claimed")
            assert moved.from_state == state
            if state is not None:
                assert DELIVERY[state][DeliveryEvent(event)] == moved.to_state
            state = DeliveryState(moved.to_state)
            if operator := moved.fields.get("operator"):
                decided[it, moved.event, operator] += 1
                assert f"as {operator} says" in {moved.fields.get("reason"), moved.fields.get("detail")}
        found = store.delivery(it)
        assert found is not None
        assert found.state is state
    store.close()
    assert decided == Counter((it, lines[decision], person) for it, decision, person in followed)
    # Of each list, at least the first decision to come was followed.
    assert {it for it, _, _ in followed} == set(lists)


def check_upstream(setup: Setup, upstream: Sshd) -> None:
    """What is said to be sent is there, once, and nothing else."""
    store = Store.open_beside(setup.state / "relay.db", read_only=True)
    sent = {it.remote_name for it in store.deliveries(state=DeliveryState.SENT)}
    store.close()
    assert set(upstream.received()) == sent
    assert relay(setup, "status").returncode in {0, 1}
