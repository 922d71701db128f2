"""What the next attempt makes of a request whose answer was lost: it looks before it writes (rules U4, U8 and U9)."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from asyncssh.constants import FX_PERMISSION_DENIED
from parts.lists import NAME, RETRY, TEMPORARY, again, an_upload, rows
from parts.outbox import Bench
from parts.upstream import Fault, ScriptedUpstream, drop, meanwhile, refuse, stall

from relay.model import DeliveryState, Receipt
from relay.upstream import Reason, Upload, UpstreamError, connect

LIST = rows(1000)
OTHER = rows(1000, "BIG")
HALF = LIST[: len(LIST) // 2]


class Attempt:
    """One attempt to send one list: what came of it, and what it leaves to the next."""

    def __init__(self, upstream: ScriptedUpstream, upload: Upload, **changes: object) -> None:
        self.noted: list[str] = []
        self.unanswered: str | None = None
        self.outcome: Receipt | Reason = asyncio.run(self._make(upstream, upload, changes))

    @property
    def said(self) -> tuple[str, bool] | Reason:
        """How the list got its name and whether it was seen, or why it did not."""
        return self.outcome if isinstance(self.outcome, Reason) else (self.outcome.publish, self.outcome.verified)

    async def _make(self, upstream: ScriptedUpstream, upload: Upload, changes: dict[str, object]) -> Receipt | Reason:
        async def note() -> None:
            self.noted.append(upload.remote_name)

        async with upstream, connect(upstream.settings(**changes)) as session:
            try:
                return await session.publish(upload, note)
            except UpstreamError as error:
                return error.reason
            finally:
                self.unanswered = session.unanswered_of(upload)


def _upstream(tmp_path: Path, *faults: Fault, present: dict[str, bytes] | None = None) -> ScriptedUpstream:
    upstream = ScriptedUpstream(tmp_path / "upstream", faults)
    for name, content in (present or {}).items():
        (upstream.uploads / name).write_bytes(content)
    return upstream


def test_a_rename_without_an_answer_is_left_to_the_next_attempt(tmp_path: Path) -> None:
    """It is told the temporary name that was being renamed; after an answered one there is nothing to tell."""
    upstream = _upstream(tmp_path, drop("rename"))
    first = Attempt(upstream, an_upload(tmp_path, LIST))
    assert (first.said, first.unanswered) == (Reason.CONNECTION_LOST, TEMPORARY)
    second = Attempt(upstream, again(an_upload(tmp_path, LIST), unanswered=first.unanswered))
    assert (second.said, second.unanswered) == (("rename", True), None)
    assert upstream.received() == {NAME: LIST}


def test_a_rename_that_took_place_and_was_picked_up_is_sent_and_not_verified(tmp_path: Path) -> None:
    """Neither the final nor the temporary name is there: nothing is sent a second time (rule U8)."""
    upstream = _upstream(tmp_path)
    attempt = Attempt(upstream, again(an_upload(tmp_path, LIST), unanswered=TEMPORARY))
    assert attempt.said == ("rename", False)
    assert upstream.asked_for("open") == []


def test_a_cut_off_attempt_that_never_asked_for_a_rename_is_made_again(tmp_path: Path) -> None:
    """That nothing is there then only says that nothing was written (rule U8)."""
    upstream = _upstream(tmp_path)
    assert Attempt(upstream, again(an_upload(tmp_path, LIST))).said == ("rename", True)
    assert upstream.received() == {NAME: LIST}


def test_a_rename_that_did_not_take_place_is_made_impossible_first(tmp_path: Path) -> None:
    """The old temporary file goes before the new one is begun, whose name is another (rules U1 and U8)."""
    upstream = _upstream(tmp_path, present={TEMPORARY: LIST})
    attempt = Attempt(upstream, again(an_upload(tmp_path, LIST), unanswered=TEMPORARY))
    assert (attempt.said, upstream.received()) == (("rename", True), {NAME: LIST})
    steps = [it for it in upstream.operations if it[0] in {"remove", "open"}]
    assert steps.index(("remove", TEMPORARY)) < steps.index(("open", RETRY))


def test_a_rename_that_takes_place_late_publishes_nothing_unfinished(tmp_path: Path) -> None:
    """It moves the old attempt's whole file, not what the new one has written so far; the new one recognises it."""
    late = meanwhile("write", lambda uploads: (uploads / TEMPORARY).rename(uploads / NAME))
    locked = refuse("remove", FX_PERMISSION_DENIED, times=2)
    upstream = _upstream(tmp_path, late, locked, present={TEMPORARY: LIST})
    attempt = Attempt(upstream, again(an_upload(tmp_path, LIST), unanswered=TEMPORARY))
    assert (attempt.said, attempt.unanswered) == (("found", True), None)
    assert upstream.received() == {NAME: LIST}


@pytest.mark.parametrize("earlier", [True, False], ids=["retry", "first"])
def test_a_file_with_this_very_content_is_the_list(tmp_path: Path, *, earlier: bool) -> None:
    """Whoever has put it there: Attentive has what it should, and nothing is written (rule U4)."""
    upstream = _upstream(tmp_path, present={NAME: LIST})
    upload = an_upload(tmp_path, LIST)
    assert Attempt(upstream, again(upload) if earlier else upload).said == ("found", True)
    assert upstream.asked_for("open") == []


@pytest.mark.parametrize("present", [OTHER, HALF, b"", LIST + LIST], ids=["same size", "beginning", "empty", "longer"])
@pytest.mark.parametrize("earlier", [True, False], ids=["retry", "first"])
@pytest.mark.parametrize("publish", ["rename", "direct"])
def test_a_file_with_other_content_is_never_overwritten(
    tmp_path: Path, publish: str, present: bytes, *, earlier: bool
) -> None:
    """Also one that could be the beginning of the list, unless it is known to be our own (rules U4 and U9)."""
    upstream = _upstream(tmp_path, present={NAME: present})
    upload = an_upload(tmp_path, LIST)
    attempt = Attempt(upstream, again(upload) if earlier else upload, publish=publish)
    assert (attempt.said, attempt.unanswered) == (Reason.NAME_TAKEN, None)
    assert upstream.received() == {NAME: present}


def test_where_nothing_may_be_read_back_the_size_decides_for_a_retry(tmp_path: Path) -> None:
    """An attempt was made, and a file of this name and size is there (rule U4)."""
    upstream = _upstream(tmp_path, refuse("read", FX_PERMISSION_DENIED), present={NAME: LIST})
    assert Attempt(upstream, again(an_upload(tmp_path, LIST))).said == ("found", True)


def test_where_nothing_may_be_read_back_a_first_attempt_takes_it_for_anothers(tmp_path: Path) -> None:
    """Nobody of ours has written anything yet (rule U4)."""
    upstream = _upstream(tmp_path, refuse("read", FX_PERMISSION_DENIED), present={NAME: LIST})
    assert Attempt(upstream, an_upload(tmp_path, LIST)).said is Reason.NAME_TAKEN


def test_a_direct_upload_is_noted_before_it_begins(tmp_path: Path) -> None:
    """And what a lost connection has cut off is left to the next attempt as our own (rule U9)."""
    content = rows(100_000)
    upstream = _upstream(tmp_path, drop("write", skip=2))
    first = Attempt(upstream, an_upload(tmp_path, content), publish="direct")
    assert (first.said, first.noted, first.unanswered) == (Reason.CONNECTION_LOST, [NAME], NAME)
    assert len(upstream.received()[NAME]) < len(content)
    second = Attempt(upstream, again(an_upload(tmp_path, content), unanswered=first.unanswered), publish="direct")
    assert (second.said, second.unanswered) == (("direct", True), None)
    assert upstream.received() == {NAME: content}


@pytest.mark.parametrize("operation", ["open", "close"])
def test_a_direct_upload_that_breaks_around_the_writing_is_made_good(tmp_path: Path, operation: str) -> None:
    """Nothing at all, or all of it, may lie there after the break (rule U9)."""
    upstream = _upstream(tmp_path, drop("open" if operation == "open" else "close", after=True))
    first = Attempt(upstream, an_upload(tmp_path, LIST), publish="direct")
    assert first.unanswered == NAME
    second = Attempt(upstream, again(an_upload(tmp_path, LIST), unanswered=NAME), publish="direct")
    assert second.said in {("direct", True), ("found", True)}
    assert upstream.received() == {NAME: LIST}


@pytest.mark.parametrize("readable", [True, False], ids=["readable", "not readable"])
@pytest.mark.parametrize("removable", [True, False], ids=["removable", "not removable"])
@pytest.mark.parametrize("publish", ["auto", "direct"])
def test_our_own_cut_off_file_is_replaced(tmp_path: Path, publish: str, *, readable: bool, removable: bool) -> None:
    """It is taken away, or written over where the upstream lets nothing be removed (rule U9)."""
    faults = [] if readable else [refuse("read", FX_PERMISSION_DENIED)]
    faults += [] if removable else [refuse("remove", FX_PERMISSION_DENIED)]
    upstream = _upstream(tmp_path, *faults, present={NAME: HALF})
    attempt = Attempt(upstream, again(an_upload(tmp_path, LIST), unanswered=NAME), publish=publish)
    assert attempt.said == ("rename" if publish == "auto" and removable else "direct", True)
    assert upstream.received()[NAME] == LIST


def test_a_strangers_file_is_not_taken_for_our_own_cut_off_one(tmp_path: Path) -> None:
    """What is noted says that the file may be ours, and its content that it is not (rule U4)."""
    upstream = _upstream(tmp_path, present={NAME: OTHER[:100]})
    attempt = Attempt(upstream, again(an_upload(tmp_path, LIST), unanswered=NAME), publish="direct")
    assert (attempt.said, attempt.unanswered) == (Reason.NAME_TAKEN, None)
    assert upstream.received() == {NAME: OTHER[:100]}


def test_what_the_attempt_before_left_is_taken_away(tmp_path: Path) -> None:
    """Each attempt has a temporary name of its own and clears its predecessor's (rules U1 and U3)."""
    upstream = _upstream(tmp_path, drop("write"), present={})
    upload = an_upload(tmp_path, LIST)
    assert Attempt(upstream, upload).said is Reason.CONNECTION_LOST
    assert list(upstream.received()) == [TEMPORARY]
    assert Attempt(upstream, again(upload)).said == ("rename", True)
    assert upstream.received() == {NAME: LIST}


def test_what_is_known_of_a_request_outlives_an_attempt_that_made_none(tmp_path: Path) -> None:
    """The service stops between its login and the list: the next start is told what this one was (rule U8)."""
    upstream = _upstream(tmp_path, drop("rename"), stall("list", skip=1))

    async def run(bench: Bench) -> None:
        planned = bench.plan(LIST)
        async with upstream, bench.outbox(upstream.settings(stall_timeout="3s")):
            await bench.until_all(DeliveryState.DEFERRED, planned)
            told = bench.now(planned).unanswered
            assert told is not None
            bench.clock.advance(timedelta(hours=2))  # Each hour the directory is looked through first.
            await bench.until(lambda: len(upstream.asked_for("list")) == 2, "it is logged in again")
        assert (bench.now(planned).reason, bench.now(planned).unanswered) == ("stopped", told)

    with Bench(tmp_path / "state") as bench:
        asyncio.run(run(bench))
