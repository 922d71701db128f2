"""`relay serve`: the daemon."""

import gc
from pathlib import Path

import click

from relay.cli.context import config_option


@click.command()
@config_option
@click.pass_context
def serve(ctx: click.Context, config: Path) -> None:
    """Run the service until it is told to stop (SIGTERM), with its log on standard error.

    \b
    Example:
      relay --config /etc/relay/relay.toml serve

    SIGHUP reads accounts and routes again. The service manager starts this; by hand it is for trying things out.
    """  # noqa: D301  click's mark for a paragraph that is not to be wrapped
    # What is imported is there to stay: to look through it for what nobody needs takes a tenth of the start.
    gc.disable()
    from relay import daemon

    gc.freeze()
    gc.enable()
    ctx.exit(daemon.serve(config))
