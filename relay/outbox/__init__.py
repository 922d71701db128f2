"""Stage 3: patience. Due → claim → send → record; deferrals, suspensions and stale holds on the way."""

from relay.outbox.stage import Outbox
from relay.outbox.vigil import Vigil

__all__ = ["Outbox", "Vigil"]
