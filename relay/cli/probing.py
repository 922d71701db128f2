"""What `relay check --connect` does at the upstreams, says of them, and leaves for `relay status` to show."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import click

from relay.cli.documents import Document, instant
from relay.cli.listing import print_heading, print_wrapped
from relay.cli.state import changed_state, has_state
from relay.model import Probe, RelayError

if TYPE_CHECKING:
    from relay.config import Config, UpstreamSettings

_MEANS: Final = {
    "rename": "Lists will be written to a temporary name and renamed: complete under the final name, or absent.",
    "direct": "Lists will be written directly under their final names.",
    None: "No list can be sent there as it is.",
}


@dataclass(frozen=True, slots=True)
class Probed:
    """One upstream, what was found there, and what to do or to know."""

    probe: Probe
    advice: Sequence[str]
    remembered: bool

    @property
    def publish(self) -> str | None:
        """How lists will get their final names; None where none can be sent."""
        return self.probe.publish


def probe_all(config: "Config") -> list[Probed]:
    """Look at every upstream, one after the other, and keep what is found in the state, if there is one."""
    return [_probe(config, upstream) for upstream in config.upstreams.values()]


def _probe(config: "Config", upstream: "UpstreamSettings") -> Probed:
    from relay.upstream import probe

    findings = asyncio.run(probe(upstream))
    found = Probe(upstream.name, datetime.now(UTC), findings.publish, findings.found)
    return Probed(found, findings.advice, remembered=_remember(config, found))


def _remember(config: "Config", found: Probe) -> bool:
    try:
        if not has_state(config):
            return False
        with changed_state(config) as store:
            store.remember_probe(found)
    except RelayError:
        # Whoever may not write there has been shown everything all the same.
        return False
    return True


def print_probe(it: Probed) -> None:
    """Say what was found at an upstream, and what it means."""
    print_heading(f"Upstream {it.probe.upstream}")
    for what, words in it.probe.found.items():
        print_wrapped(f"{what}: {words}", indent=2)
    click.secho(f"  {_MEANS[it.publish]}", fg="red" if it.publish is None else "green")
    for advice in it.advice:
        print_wrapped(advice, indent=2)
    if not it.remembered:
        click.echo("  Not kept for `relay status`: the service has no state here, or not one of this user's.")


def probe_document(it: Probed) -> Document:
    """Return what was found at an upstream, for a program."""
    return {"name": it.probe.upstream, **probe_fields(it.probe), "advice": list(it.advice)}


def probe_fields(probe: Probe) -> Document:
    """Return what was found, without whose it is."""
    return {"checked_at": instant(probe.probed_at), "publish": probe.publish, "found": dict(probe.found)}
