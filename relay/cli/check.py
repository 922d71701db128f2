"""`relay check`: is the configuration right, and what does it say?"""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from relay.cli.context import config_option, show_error
from relay.cli.probing import print_probe, probe_all, probe_document
from relay.cli.tables import print_json, print_table

if TYPE_CHECKING:
    from relay.config import AccountSettings, Config, ConfigError, RouteSettings, UpstreamSettings


@click.command()
@config_option
@click.option("--connect", is_flag=True, help="Also log in at every upstream, and see what may be done there.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of text.")
@click.pass_context
def check(ctx: click.Context, config: Path, *, connect: bool, as_json: bool) -> None:
    """Validate the whole configuration and the files that it names; show all problems at once.

    \b
    Example:
      relay check
      relay check --connect
      relay --config ./relay.toml check --json

    Without --connect, nothing is connected to or changed. With it, each upstream's host key is shown, a small file of
    the relay's own is written, renamed and removed there, and it is said how lists will get their names; `relay status`
    shows that later. Exit status 2 if the configuration has a problem, 1 if nothing can be sent to an upstream. Secrets
    that only the service has (systemd credentials) are looked for beside relay.toml when this is run by hand.
    """  # noqa: D301  click's mark for a paragraph that is not to be wrapped
    from relay.config import ConfigError, load

    try:
        loaded = load(config)
    except ConfigError as error:
        if as_json:
            print_json({"file": config, "problems": _problems(error)})
        ctx.exit(2 if as_json else show_error(error))
    found = probe_all(loaded) if connect else []
    if as_json:
        probed = {"upstreams": [probe_document(it) for it in found]} if connect else {}
        print_json({"file": config, "problems": [], "settings": _settings(loaded), **probed})
    else:
        click.echo(f"{config} is fine.\n")
        print_table(["", "name", "what"], _summary(loaded))
        for it in found:
            print_probe(it)
    ctx.exit(1 if any(it.publish is None for it in found) else 0)


def _problems(error: "ConfigError") -> list[dict[str, str]]:
    return [
        {"file": str(problem.file), "path": problem.path, "message": problem.message, "hint": problem.hint}
        for problem in error.problems
    ]


def _settings(config: "Config") -> dict[str, object]:
    return {
        "state_dir": config.state_dir,
        "landing": config.landing.model_dump(mode="json"),
        "log": config.log.model_dump(mode="json"),
        "accounts": {name: account.model_dump(mode="json") for name, account in config.accounts.items()},
        "upstreams": {name: upstream.model_dump(mode="json") for name, upstream in config.upstreams.items()},
        "routes": {name: route.model_dump(mode="json") for name, route in config.routes.items()},
    }


def _summary(config: "Config") -> Iterator[tuple[str, str, str]]:
    from relay import keys

    yield "landing", ", ".join(config.landing.listen), f"state in {config.state_dir}"
    for host_key in keys.fingerprints(config.landing.host_keys):
        yield "host key", host_key.path.name, f"{host_key.algorithm} {host_key.fingerprint}"
    for account in config.accounts.values():
        yield "account", account.name, f"logs in with {_account_methods(account)}{_account_limits(account)}"
    for upstream in config.upstreams.values():
        at = f"{upstream.user}@{upstream.host}:{upstream.port} {upstream.directory}"
        yield "upstream", upstream.name, f"{at}, with {_upstream_methods(upstream)}, publish {upstream.publish}"
    for route in config.routes.values():
        way = f"{route.account}:{route.path} to {route.upstream} as {route.client_domain}"
        yield "route", route.name, f"{way}, {route.identifier} lists, dates in {route.timezone}"
        for key in _decryption_keys(route):
            yield "PGP key", route.name, key


def _decryption_keys(route: "RouteSettings") -> Iterator[str]:
    """Say of each key that decrypts the route's exports until when it does."""
    if route.pgp.private_key is None:
        return
    from relay.rewrite.packing.pgpkeys import read_keys

    now = datetime.now(UTC)
    for key in read_keys(route.pgp.private_key, route.pgp.passphrase, now).states:
        end = "does not expire" if key.expires_at is None else f"expires on {key.expires_at:%Y-%m-%d}"
        yield f"decrypts what is encrypted to {key.id.upper()}, {key.refusal(now) or end}"


def _account_methods(account: "AccountSettings") -> str:
    methods = {"public key": account.authorized_keys, "password": account.password_hash}
    return " or ".join(method for method, file in methods.items() if file)


def _account_limits(account: "AccountSettings") -> str:
    """Say what keeps some logins out: the addresses that may, and keys that have expired."""
    from relay import keys

    limits = []
    if account.allow_from is not None:
        limits.append(f"from {', '.join(map(str, account.allow_from))} only")
    if account.authorized_keys is not None:
        found = keys.read_authorized_keys(account.authorized_keys).keys
        expired = sum(not key.counts(datetime.now(UTC)) for key in found)
        if expired:
            limits.append(f"{expired} of {len(found)} keys expired")
    return "".join(f", {limit}" for limit in limits)


def _upstream_methods(upstream: "UpstreamSettings") -> str:
    methods = {"private key": upstream.private_key, "password": upstream.password}
    return " or ".join(method for method, file in methods.items() if file)
