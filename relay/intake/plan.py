"""What becomes of one rewritten list: queued, held, a duplicate, overtaken, or nothing at all. Pure."""

from datetime import date

from relay.guards import GuardPolicy, History, find_twin, growth, judge
from relay.model import Draft, Duplicate, Hold, Overtaken, Queue, Report, Skip, Verdict


def plan(  # every argument is a fact that the verdict depends on
    draft: Draft, report: Report, history: History, last_arrival: int, day: date, policy: GuardPolicy
) -> Verdict:
    """Decide what to do with one segment's list.

    Args:
        draft: the rewritten list.
        report: what the rewrite of its whole export found.
        history: what is known of its segment.
        last_arrival: the number of the arrival that came last of the export's; one judged late must not follow a newer
            one (rule D7).
        day: today in the route's time zone.
        policy: the route's guards.
    """
    if not draft.counts.rows_out and history.last_sent_rows is None:
        return Skip()  # Rule G2: reported with the export, and there is no live list to protect.
    if newer := history.newer_than(last_arrival):
        return Overtaken(newer.delivery_id)
    if draft.counts.rows_out and (twin := find_twin(draft, history, day)):
        return Duplicate(twin.delivery_id)
    hold: Hold | None = judge(draft, report, history, day, policy)
    return hold or Queue(policy.same_day == "supersede", growth(draft, history, policy))
