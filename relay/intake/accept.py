"""Each received export to its end state: rewritten and accepted, a duplicate, or quarantined with a reason."""

import asyncio
import hashlib
import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from secrets import token_hex
from typing import Final

from relay.config import RouteSettings
from relay.guards import History
from relay.intake.plan import plan
from relay.model import Acceptance, Arrival, Comparison, Cut, Draft, Export, Report, Verdict
from relay.naming import source_name
from relay.rewrite.child import RewriteCrashed, compare_in_child, rewrite_in_child
from relay.rewrite.files import SourceFile
from relay.rewrite.rules import Rules
from relay.rewrite.unusable import UnusableSource
from relay.spool import Spool, cut
from relay.store import ComparisonOutdatedError, Store

MOST_CRASHES: Final = 3
"""A source that makes the rewrite crash this often is quarantined instead of tried again."""


def _acceptance_digest(route: RouteSettings, parts: Sequence[Arrival]) -> str:
    """Return the digest of everything but the bytes and the date that an export's acceptance depends on (rule D9)."""
    destination = [route.upstream, route.client_domain]
    paths = [part.path for part in parts] if route.rules.segment.pattern is not None else []
    depends_on = [route.rules.digest(), route.guards.model_dump_json(), destination, paths]
    return hashlib.sha256(json.dumps(depends_on).encode()).hexdigest()


def _rules(route: RouteSettings, export: Export) -> Rules:
    """Return the route's rules; a person's word that an export is whole (rule C8) holds for its archives, too."""
    if not export.as_whole:
        return route.rules
    return route.rules.model_copy(update={"source": route.rules.source.model_copy(update={"gaps": "accept"})})


def _judgement(report: Report, acceptance: Acceptance, route: RouteSettings) -> Callable[[Draft, History], Verdict]:
    def judge(draft: Draft, history: History) -> Verdict:
        return plan(draft, report, history, acceptance.last_arrival, acceptance.list_date, route.guards)

    return judge


class Acceptor:
    """Takes received exports to their end state. The rewrite runs in a child process, the rest in threads."""

    def __init__(self, spool: Spool, store: Store, *, now: Callable[[], datetime]) -> None:
        self._spool = spool
        self._store = store
        self._now = now

    async def settle(self, export: Export, route: RouteSettings | None) -> None:
        """Take `export`, which is `received`, to its end state; a crashed rewrite leaves it there to be tried again.

        `route` is None where the configuration has lost the export's route.
        """
        if route is None:
            await self._quarantine(
                export,
                "route_missing",
                f"no route is called {export.route}",
                "restore the route's file and reload, then `relay requeue` the export",
            )
            return
        arrivals = await asyncio.to_thread(self._store.arrivals, export_id=export.id)
        parts = [it for it in arrivals if it.part is not None]  # What is none marks the end, and holds no list.
        day = route.day_of(self._now())
        twin = await asyncio.to_thread(self._store.accepted_twin, export, _acceptance_digest(route, parts), day)
        if twin is not None:
            await asyncio.to_thread(self._store.duplicate, export.id, twin, day, self._now())
        else:
            await self._rewrite(export, route, parts)

    async def _rewrite(self, export: Export, route: RouteSettings, parts: Sequence[Arrival]) -> None:
        sources = [
            SourceFile(self._spool.source(route.name, export.id, source_name(number)), part.path)
            for number, part in enumerate(parts, start=1)
        ]
        work = self._spool.work(route.name, export.id, token_hex(3))
        began = time.monotonic()
        try:
            report = await rewrite_in_child(sources, _rules(route, export), work)
            took = time.monotonic() - began
            await asyncio.to_thread(self._spool.adopt, work)
            await self._accept(export, route, parts, report, took)
        except UnusableSource as unusable:
            await self._quarantine(export, unusable.reason, unusable.detail, unusable.hint)
        except RewriteCrashed as crash:
            await self._count_crash(export, crash)
        finally:
            self._spool.abandon(work)

    async def _accept(
        self, export: Export, route: RouteSettings, parts: Sequence[Arrival], report: Report, seconds: float
    ) -> None:
        landed_at = max(part.landed_at for part in parts)
        # What a person wants judged again is not stale for the time that this person took (rule G8).
        wanted_at = await asyncio.to_thread(self._store.requeued_at, export.id) or landed_at
        cuts = await asyncio.to_thread(self._cuts, export, route, report)
        while True:
            comparisons = await self._compare(export, route, report)
            now = self._now()  # a rewrite may have taken past midnight: the date is that of the planning (rule D2)
            acceptance = Acceptance(
                settings_digest=_acceptance_digest(route, parts),
                list_date=route.day_of(now),
                upstream=route.upstream,
                client_domain=route.client_domain,
                landed_at=landed_at,
                last_arrival=max(part.id for part in parts),
                stale_at=wanted_at + route.stale_after,
                delays={"landing": (export.received_at - landed_at).total_seconds(), "rewrite": round(seconds, 3)},
                comparisons=comparisons,
                cuts=cuts,
            )
            # A list that was sent while these were compared makes the comparison one with yesterday's.
            with suppress(ComparisonOutdatedError):
                judge = _judgement(report, acceptance, route)
                await asyncio.to_thread(self._store.accept, export.id, report, acceptance, judge, now)
                return

    def _cuts(self, export: Export, route: RouteSettings, report: Report) -> dict[int, tuple[Cut, ...]]:
        """Say how the lists are cut that are to go out as several files (rule D13)."""
        return {
            draft.ordinal: cut(self._spool.draft_of(route.name, export.id, draft.ordinal), route.guards.max_rows)
            for draft in report.drafts
            if route.guards.splits(draft.counts.rows_out)
        }

    async def _compare(self, export: Export, route: RouteSettings, report: Report) -> dict[int, Comparison]:
        """Compare each list with the one last sent of its segment, as far as that is still there (rule G12)."""
        last_sent = await asyncio.to_thread(self._store.last_sent, route.upstream, route.client_domain)
        drafts = [draft for draft in report.drafts if draft.segment in last_sent]
        pairs = [
            (
                self._spool.draft_of(route.name, export.id, draft.ordinal) if draft.file else None,
                self._spool.draft(last_sent[draft.segment]),
            )
            for draft in drafts
        ]
        overlaps = await compare_in_child(pairs) if pairs else []
        return {
            draft.ordinal: Comparison(last_sent[draft.segment].id, overlap)
            for draft, overlap in zip(drafts, overlaps, strict=True)
            if overlap is not None
        }

    async def _count_crash(self, export: Export, crash: RewriteCrashed) -> None:
        crashes = await asyncio.to_thread(self._store.rewrite_crashed, export.id, self._now())
        if crashes >= MOST_CRASHES:
            await self._quarantine(
                export,
                "rewrite_crashed",
                f"the rewrite crashed {crashes} times: {crash.detail}",
                "a defect of the relay: report it with this detail (if that names EIO, check the disk first); "
                "after an upgrade, `relay requeue` the export",
            )

    async def _quarantine(self, export: Export, reason: str, detail: str, hint: str) -> None:
        await asyncio.to_thread(self._store.quarantine, export.id, reason, detail, hint, self._now())
