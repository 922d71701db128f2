"""What can go wrong at an upstream, and the tests that hold the relay to what follows: the source of a document.

`python tests/parts/fault_matrix.py docs/upstream-faults.md` writes it.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from relay.upstream import FAILURES, Permanence, Scope

TESTS: Final = Path(__file__).parents[1]
_UPSTREAM: Final = "faults/test_upstream_faults.py"
_OUTBOX: Final = "faults/test_outbox_faults.py"
_FAIRNESS: Final = "faults/test_outbox_fairness.py"
_UNANSWERED: Final = "faults/test_unanswered_requests.py"
_WIRES: Final = "faults/test_broken_wires.py"
_SSHD: Final = "integration/test_upstream.py"
_SENDING: Final = "integration/test_outbox.py"
_FOREIGN: Final = "integration/test_foreign_upstreams.py"
_COMMANDS: Final = "integration/test_upstream_operations.py"

MATRIX: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "the connection is refused": (
        (_UPSTREAM, "test_a_port_that_nobody_listens_on_is_unreachable"),
        (_SENDING, "test_an_upstream_that_is_down_costs_one_try_and_is_served_when_it_is_up"),
    ),
    "the host has no address": ((_UPSTREAM, "test_a_host_that_no_name_service_knows_is_tried_again"),),
    "a wrong or changed host key": (
        (_SSHD, "test_another_host_key_than_the_pinned_one_is_refused"),
        (_SSHD, "test_a_pin_of_another_key_of_any_kind_is_refused_as_such"),
        (_SENDING, "test_a_wrong_host_key_suspends_the_upstream_until_the_pin_is_corrected"),
        (_COMMANDS, "test_a_look_at_a_server_with_another_key_shows_both"),
    ),
    "another host key beside the pinned one": (
        (_SSHD, "test_with_the_next_host_key_pinned_beside_the_current_one_nothing_stops"),
        (_SSHD, "test_a_key_that_the_server_has_beside_the_pinned_one_is_noticed"),
        (_COMMANDS, "test_a_host_key_beside_the_pinned_one_is_warned_of"),
    ),
    "a refused password or key": (
        (_UPSTREAM, "test_a_wrong_password_is_refused_after_one_try"),
        (_OUTBOX, "test_a_refused_password_suspends_the_upstream_and_fails_nobodys_list"),
        (_SSHD, "test_a_key_that_is_not_authorised_stops_the_upstream"),
        (_FOREIGN, "test_a_wrong_password_is_the_upstreams_trouble"),
    ),
    "a change of the password is demanded": (
        (_UPSTREAM, "test_a_demanded_change_of_the_password_is_told_apart_and_not_made"),
    ),
    "the login may not use SFTP": ((_UPSTREAM, "test_a_login_without_sftp_is_told_apart_from_a_refused_one"),),
    "the connection is lost before, during or after open, write, close, rename or stat": (
        (_UPSTREAM, "test_a_connection_that_breaks_anywhere_is_made_good_by_the_next_attempt"),
        (_WIRES, "test_wherever_the_wire_breaks_the_next_attempt_makes_it_good"),
        (_FOREIGN, "test_a_transfer_that_breaks_is_made_good_by_the_next_attempt"),
        (_SENDING, "test_a_connection_cut_in_mid_transfer_is_made_good"),
    ),
    "the connection is lost between two lists": (
        (_FAIRNESS, "test_a_session_that_has_ended_between_two_lists_costs_no_attempt"),
        (_OUTBOX, "test_a_connection_that_breaks_between_two_lists_costs_no_attempt"),
    ),
    "the answer to a rename is lost": (
        (_UNANSWERED, "test_a_rename_without_an_answer_is_left_to_the_next_attempt"),
        (_UNANSWERED, "test_a_rename_that_took_place_and_was_picked_up_is_sent_and_not_verified"),
        (_UNANSWERED, "test_a_rename_that_did_not_take_place_is_made_impossible_first"),
        (_UNANSWERED, "test_a_rename_that_takes_place_late_publishes_nothing_unfinished"),
        (_OUTBOX, "test_where_only_the_answer_was_lost_the_retry_finds_the_list"),
    ),
    "a direct upload is cut off": (
        (_UNANSWERED, "test_a_direct_upload_is_noted_before_it_begins"),
        (_UNANSWERED, "test_our_own_cut_off_file_is_replaced"),
        (_UNANSWERED, "test_a_strangers_file_is_not_taken_for_our_own_cut_off_one"),
        (_FAIRNESS, "test_a_crash_in_the_middle_of_a_direct_upload_is_made_good"),
        (_FAIRNESS, "test_the_cut_off_beginning_of_a_list_that_was_given_up_is_removed"),
        (_FOREIGN, "test_what_an_earlier_attempt_left_is_replaced"),
    ),
    "no space": ((_SSHD, "test_a_full_disk_at_the_upstream_is_waited_out"),),
    "permission denied, or an operation fails": (
        (_UPSTREAM, "test_a_refusal_before_the_rename_leaves_no_final_name"),
        (_OUTBOX, "test_trouble_of_the_upstream_spares_the_lists_behind"),
    ),
    "the directory is missing": (
        (_FOREIGN, "test_a_missing_directory_is_the_upstreams_trouble"),
        (_COMMANDS, "test_a_suspended_upstream_is_resumed_by_a_command"),
    ),
    "a rename is refused": (
        (_UPSTREAM, "test_a_refused_rename_leads_to_a_direct_upload"),
        (_UPSTREAM, "test_a_rename_that_merely_fails_does_not"),
        (_SSHD, "test_rename_alone_means_rename_alone"),
        (_FOREIGN, "test_where_renaming_is_refused_the_list_is_written_directly"),
    ),
    "looking or listing is denied": (
        (_UPSTREAM, "test_that_the_last_look_is_refused_takes_nothing_back"),
        (_OUTBOX, "test_a_probe_that_may_not_list_the_directory_does_not_resume"),
        (_COMMANDS, "test_the_publish_mode_follows_from_what_is_refused"),
    ),
    "the file is gone at once after publishing": (
        (_UPSTREAM, "test_a_file_that_is_gone_after_the_rename_was_picked_up"),
        (_OUTBOX, "test_a_list_that_is_picked_up_at_once_is_sent_and_not_verified"),
    ),
    "the final name is there, with the same size": (
        (_UNANSWERED, "test_a_file_with_this_very_content_is_the_list"),
        (_UNANSWERED, "test_where_nothing_may_be_read_back_the_size_decides_for_a_retry"),
        (_UNANSWERED, "test_where_nothing_may_be_read_back_a_first_attempt_takes_it_for_anothers"),
    ),
    "the final name is there, with other content": (
        (_UNANSWERED, "test_a_file_with_other_content_is_never_overwritten"),
        (_OUTBOX, "test_a_list_whose_name_is_taken_fails_alone"),
        (_FOREIGN, "test_a_name_that_is_taken_while_the_list_is_on_its_way_is_left_alone"),
    ),
    "an answer never comes": (
        (_UPSTREAM, "test_a_server_that_falls_silent_anywhere_is_given_up"),
        (_UPSTREAM, "test_a_port_that_accepts_and_says_nothing_gives_no_answer"),
        (_WIRES, "test_wherever_the_wire_goes_silent_the_attempt_ends_and_the_next_makes_it_good"),
        (_FAIRNESS, "test_a_transfer_that_hangs_is_taken_over"),
    ),
    "the wire is slow": (
        (_WIRES, "test_a_slow_wire_is_waited_for"),
        (_UPSTREAM, "test_a_slow_upload_that_makes_progress_is_not_given_up"),
        (_FAIRNESS, "test_a_long_transfer_that_makes_progress_is_not_taken_over"),
    ),
    "a server acknowledges but keeps less": (
        (_UPSTREAM, "test_a_server_that_keeps_less_than_it_acknowledged_gets_no_final_name"),
        (_UPSTREAM, "test_a_direct_upload_that_was_cut_short_is_taken_away_again"),
        (_UPSTREAM, "test_a_file_that_changes_with_the_rename_is_a_failure"),
    ),
    "files of others, and of lists that were given up": (
        (_SSHD, "test_nothing_of_others_is_touched"),
        (_FAIRNESS, "test_temporary_files_of_lists_that_were_given_up_are_removed_and_no_others"),
    ),
    "an upstream is suspended": (
        (_OUTBOX, "test_a_restart_probes_a_suspended_upstream_at_once"),
        (_OUTBOX, "test_an_operator_lifts_a_suspension_without_a_restart"),
        (_OUTBOX, "test_each_suspension_begins_with_a_short_wait"),
        (_OUTBOX, "test_a_suspension_stops_the_senders_that_are_doing_well"),
        (_OUTBOX, "test_a_clock_set_back_delays_no_probe"),
    ),
    "what the account may do": (
        (_COMMANDS, "test_a_look_says_what_may_be_done_and_leaves_nothing_behind"),
        (_COMMANDS, "test_what_was_found_is_kept_and_shown_in_status"),
        (_COMMANDS, "test_direct_is_warned_of"),
    ),
    "an outage of days": (
        (_FAIRNESS, "test_after_an_outage_of_days_only_the_newest_list_goes_out"),
        (_FAIRNESS, "test_an_outage_that_outlasts_a_list_ends_in_a_hold_and_not_in_a_late_list"),
        (_OUTBOX, "test_attempts_that_fail_come_ever_more_rarely"),
    ),
    "one tenant's backlog, or its suspended upstream": (
        (_FAIRNESS, "test_the_routes_take_turns"),
        (_FAIRNESS, "test_a_tenant_whose_upstream_is_suspended_delays_no_other"),
    ),
}
"""Each fault, and the tests that put it up."""

_FOLLOWS: Final = {
    (Permanence.TRANSIENT, Scope.UPSTREAM): "tried again; the other lists rest, too",
    (Permanence.TRANSIENT, Scope.DELIVERY): "tried again",
    (Permanence.PERMANENT, Scope.UPSTREAM): "the upstream is suspended, no list fails",
    (Permanence.PERMANENT, Scope.DELIVERY): "this list fails",
    (Permanence.PERMANENT, Scope.OURS): "this list fails",
}


def document() -> str:
    """Return the document."""
    return "\n".join(
        [
            "# What can go wrong at an upstream",
            "",
            "Written by `python tests/parts/fault_matrix.py docs/upstream-faults.md` from the code and the tests; a",
            "test fails when it is out of date. The rules behind it are U1 to U11 of [rules.md](rules.md#u-uploading).",
            "",
            "## Every reason, and what follows",
            "",
            "Told apart by the kind of trouble and by what was being done, never by a message's words (rule U11).",
            "",
            "| reason | it is | whose | what follows | what to do |",
            "|---|---|---|---|---|",
            *(
                f"| `{reason}` | {it.permanence} | {it.scope} | {_FOLLOWS[it.permanence, it.scope]} | {it.hint} |"
                for reason, it in FAILURES.items()
            ),
            "",
            "## Every fault, and its tests",
            "",
            "| fault | test | says |",
            "|---|---|---|",
            *_rows(),
            "",
        ]
    )


def _rows() -> Iterator[str]:
    for fault, tests in MATRIX.items():
        for number, (file, name) in enumerate(tests):
            yield f"| {'' if number else fault} | `{file}::{name}` | {_sentence(TESTS / file, name)} |"


def _sentence(file: Path, name: str) -> str:
    """Return what a test says of itself.

    Raises:
        LookupError: there is no such test.
    """
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return " ".join((ast.get_docstring(node) or "").split())
    raise LookupError(f"{file} has no {name}")


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(document(), encoding="utf-8")
