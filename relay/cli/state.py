"""The service's state, opened for a command: to read it beside the running service, or to record a decision."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Final

from relay.cli.tables import as_text
from relay.model import RelayError

if TYPE_CHECKING:
    from relay.config import Config
    from relay.store import Store

_RECENT: Final = 1_000
"""How many ids of each kind are looked through for the one that was meant."""


@contextmanager
def read_state(config: "Config") -> Iterator["Store"]:
    """Give the store of a service that has run before, to be read only.

    Raises:
        RelayError: there is none yet, or it belongs to somebody else.
    """
    from relay.store import Store

    with closing(Store.open_beside(_database(config), read_only=True)) as store:
        yield store


@contextmanager
def changed_state(config: "Config") -> Iterator["Store"]:
    """Give the store of a service that has run before, to record decisions in.

    Raises:
        RelayError: there is none yet, or it belongs to somebody else.
    """
    from relay.store import Store

    with closing(Store.open_beside(_database(config), read_only=False)) as store:
        yield store


def _database(config: "Config") -> Path:
    from relay.spool import Spool

    if not has_state(config):
        raise RelayError(
            f"there is no state in {config.state_dir} yet",
            hint="The service makes it at its first start (`relay serve`). Does that run with this configuration?",
        )
    return Spool(config.state_dir).database


def has_state(config: "Config") -> bool:
    """Say whether the service has run with this configuration before.

    Raises:
        RelayError: the state directory belongs to somebody else.
    """
    from relay.spool import Spool

    try:
        return Spool(config.state_dir).database.exists()
    except PermissionError:
        raise RelayError(
            f"{config.state_dir} may not be read by this user",
            hint="Run the command as the service's user, for example with `sudo -u relay`.",
        ) from None


def soon(config: "Config", does: str) -> str:
    """Say when a decision takes effect; `does` is what the service does then, as in "sends it"."""
    from relay.spool import Spool

    if Spool(config.state_dir).is_in_use():
        return f"the running service {does} within seconds"
    return f"the relay is not running, and {does} once it is started"


def unknown_id(it: str, store: "Store") -> RelayError:
    """Return the error for an id that nothing has, with those that may have been meant."""
    ids = [export.id for export in store.exports(limit=_RECENT)]
    ids += [delivery.id for delivery in store.deliveries(limit=_RECENT)]
    close = [known for known in ids if it in known] or get_close_matches(it, ids)
    from relay.rewrite.mask import mask_text

    hint = f"Did you mean {' or '.join(close[:3])}?" if close else "`relay exports` and `relay deliveries` list them."
    return RelayError(f"there is no export and no delivery {mask_text(as_text(it))}", hint=hint)
