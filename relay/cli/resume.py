"""`relay resume`: an operator's word that an upstream is well again."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from relay.cli.context import config_option, show_error
from relay.cli.decide import decision
from relay.cli.state import changed_state, soon
from relay.cli.tables import as_text
from relay.model import RelayError

if TYPE_CHECKING:
    from relay.config import Config


@click.command()
@config_option
@click.option("--reason", metavar="TEXT", help="Why; kept in the history.")
@click.argument("upstreams", metavar="UPSTREAM...", nargs=-1, required=True)
@click.pass_context
def resume(ctx: click.Context, config: Path, upstreams: Sequence[str], reason: str | None) -> None:
    """Send to suspended upstreams again, without waiting for the next probe.

    \b
    Example:
      relay resume attentive --reason "the password is right again"

    An upstream is suspended when it, or its settings, would refuse every list. If it still does, the next list's first
    attempt suspends it again; no list fails by that. `relay check --connect` looks at an upstream without sending.
    """  # noqa: D301  click's mark for a paragraph that is not to be wrapped
    from relay.config import load

    loaded = load(config, with_files=False)
    status = 0
    with changed_state(loaded) as store:
        for upstream in upstreams:
            try:
                _refuse_unknown(loaded, upstream)
                store.resume(upstream, decision(reason), datetime.now(UTC))
            except RelayError as refusal:
                status = show_error(refusal)
            else:
                click.echo(f"{upstream} is in use again; {soon(loaded, 'sends what waits')}")
    ctx.exit(status)


def _refuse_unknown(config: "Config", upstream: str) -> None:
    if upstream not in config.upstreams:
        known = ", ".join(config.upstreams)
        raise RelayError(f"the configuration has no upstream called {as_text(upstream)}", hint=f"It has: {known}.")
