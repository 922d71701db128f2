"""The operator's commands: one table of them, each module imported only when its command is used.

Exit status: 0 fine, 1 a finding (something held, refused, not found), 2 wrong usage or configuration.
"""

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from relay import __version__
from relay.cli.context import CONFIG_VARIABLE, DEFAULT_CONFIG, show_defect, show_error
from relay.core_dumps import forbid_core_dumps
from relay.model import RelayError


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a command is to be found, and the line that `relay --help` shows for it."""

    module: str
    attribute: str
    summary: str


COMMANDS: Final = {
    "demo": Entry("demo", "demo", "Show the whole way of an export on this machine."),
    "init": Entry("init", "init", "Write a configuration to start from, with host keys."),
    "serve": Entry("serve", "serve", "Run the service."),
    "check": Entry("check", "check", "Validate the configuration, and look at the upstreams."),
    "preview": Entry("preview", "preview", "Show what would become of a file, and send nothing."),
    "status": Entry("status", "status", "Today at a glance: what went out, what waits and why."),
    "report": Entry("report", "report", "Show the last 90 days in one HTML file."),
    "exports": Entry("exports", "exports", "List what Amperity delivered."),
    "deliveries": Entry("deliveries", "deliveries", "List what is on its way to Attentive, or was sent."),
    "show": Entry("show", "show", "Show one export or delivery with its whole history."),
    "hold": Entry("decide", "hold", "Keep a list from being sent."),
    "release": Entry("decide", "release", "Send a held list."),
    "discard": Entry("decide", "discard", "Give up a list or a quarantined export for good."),
    "requeue": Entry("decide", "requeue", "Try a failed list or a quarantined export again."),
    "resume": Entry("resume", "resume", "Send to a suspended upstream again."),
    "restore": Entry("restore", "restore", "Send a segment's earlier list again."),
    "bans": Entry("bans", "bans", "List who is shut out of the landing zone."),
    "unban": Entry("bans", "unban", "Let a source in again that is shut out."),
    "find": Entry("find", "find", "Say in which kept files a person occurs."),
    "purge": Entry("purge", "purge", "Remove what was kept for long enough."),
    "hash-password": Entry("hash_password", "hash_password", "Hash a password for an account."),
    "events": Entry("events", "events", "List every event that the log can hold."),
}
"""Every command, in the order in which it is shown."""


class Commands(click.Group):
    """The group of all commands. What they are is known without importing one of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002, D102  as click wants it
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002, D102
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        command: click.Command = getattr(importlib.import_module(f"relay.cli.{entry.module}"), entry.attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002, D102
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; trouble that a person can act on is shown as such, never as a traceback."""
        # A command may read people's rows, as the service does.
        forbid_core_dumps()
        try:
            return super().invoke(ctx)
        except RelayError as error:
            ctx.exit(show_error(error))
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as defect:
            if isinstance(defect, BrokenPipeError):  # Whoever read along has seen enough, as `head` has.
                raise
            ctx.exit(show_defect(defect))


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    envvar=CONFIG_VARIABLE,
    metavar="FILE",
    help=f"The configuration: FILE, else ${CONFIG_VARIABLE}, else {DEFAULT_CONFIG}.",
)
@click.version_option(__version__, prog_name="relay")
def main(config: Path | None) -> None:
    """Forward Amperity's exports to Attentive as compliant segment files.

    \b
    Example:
      relay demo
      relay --config /etc/relay/relay.toml status

    Exit status: 0 fine, 1 a finding, 2 wrong usage or configuration.
    """  # noqa: D301  click's mark for a paragraph that is not to be wrapped
