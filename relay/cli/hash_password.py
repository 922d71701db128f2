"""`relay hash-password`: the hash that an account's `password_hash` file holds."""

import sys

import click


@click.command("hash-password")
def hash_password() -> None:
    """Hash a password, read from a prompt or from the first line of standard input, and print the hash.

    \b
    Example:
      (umask 077; relay hash-password > /etc/relay/amperity.hash)

    Name the file in relay.toml: password_hash = "amperity.hash". The password itself is kept nowhere.
    """  # noqa: D301  click's mark for a paragraph that is not to be wrapped
    from relay.landing import accounts

    if sys.stdin.isatty():
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        password = _first_line()
    if not password:
        raise click.UsageError("There is no password on standard input.")
    click.echo(accounts.hash_password(password))


def _first_line() -> str:
    try:
        return sys.stdin.buffer.readline().decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise click.UsageError("The password on standard input is not UTF-8.") from None
