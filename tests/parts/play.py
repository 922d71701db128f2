"""A play: what Amperity and an operator do in a scene, so that it can be played on after the relay has died in it.

A scene is a function of a `Play`. What was achieved in an earlier life is not done again (an acknowledged upload, an
operator's command that succeeded); what was not, is. So the scene after a death is the same scene.
"""

import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeVar

import paramiko

from parts.lives import forked
from parts.promise import Books, Told, check_promise, check_upstream, read_books, sha256
from parts.service import DEADLINE_SECONDS, Ended, Line, Process, Service, Setup, relay, ssh_keygen
from parts.sftp import RawSftp, sftp
from parts.sshd import Sshd
from relay.store import Store

_LOOK_EVERY_SECONDS: Final = 0.03

_Answer = TypeVar("_Answer")


class Play:
    """One relay in front of one upstream, through all of its lives.

    Args:
        directory: everything of this play's own.
        upstream: the server that lists go to.
        settle: the landing zone's `settle`.
    """

    def __init__(self, directory: Path, upstream: Sshd, *, settle: str = "0.1s") -> None:
        self.upstream = upstream
        self.setup = Setup(directory, upstream, settle=settle)
        self.setup.route(top='path = "/uploads/**"')
        self.told = Told()
        self.done: set[str] = set()
        self.lives: list[list[Line]] = []
        self.service: Service
        self._directory = directory

    @property
    def broken(self) -> Path:
        """While this file is there, the calls fail that are to fail."""
        return self._directory / "broken"

    @property
    def database(self) -> Path:
        """The relay's database."""
        return self.setup.state / "relay.db"

    def with_database(self) -> None:
        """Begin with an empty database instead of none, which takes less time."""
        self.setup.state.mkdir(0o700, exist_ok=True)
        self.database.write_bytes(empty_database())
        self.database.chmod(0o600)

    def live(
        self,
        scene: Callable[["Play"], None],
        plan: dict[str, Any] | None = None,
        *,
        ready: bool = True,
        launch: Callable[[Setup], Process] | None = None,
    ) -> bool:
        """Start the daemon, forked or by `launch`, and play the scene, once the daemon is `ready`.

        Returns:
            Whether the scene came to its end before the daemon did.
        """
        self.service = Service(self.setup, launch=launch or forked(plan))
        self.lives.append(self.service.lines)
        with self.service:
            try:
                if ready:
                    self.service.wait_for("relay.ready")
                scene(self)
            except Ended:
                return False
            return True

    def upload(self, path: str, content: bytes, *, then: str | None = None, wanted: bool = True) -> None:
        """Have Amperity send a file, unless that was acknowledged already; `then` is done right after it.

        It tries again for as long as the daemon lives, as Amperity does.
        """
        deadline = time.monotonic() + DEADLINE_SECONDS
        while path not in self.done:
            refusal = self.try_to_upload(path, content, then=then, wanted=wanted)
            self.expect_alive()
            assert time.monotonic() < deadline, f"{path} was refused time and again: {refusal}"

    def try_to_upload(self, path: str, content: bytes, *, then: str | None = None, wanted: bool = True) -> str:
        """Have Amperity send a file once, and return what it is told where that does not work."""
        self.told.attempted[sha256(content)] += 1
        local = self._directory / "to-upload"
        local.write_bytes(content)
        commands = (f'put "{local}" "{path}"', *((then,) if then else ()))
        sent = sftp(self.service.port, "amperity", self.setup.client_key, *commands, check=False)
        if sent.returncode:
            return sent.stderr
        self.done.add(path)
        if wanted:
            self.told.acknowledged[sha256(content)] += 1
        else:
            self.told.unwanted.add(path)
        return ""

    def remove(self, path: str) -> None:
        """Have Amperity take a file back, once, whether or not that is too late."""
        self.once(f"remove {path}", lambda: self._remove(path))

    def _remove(self, path: str) -> None:
        self.told.unwanted.discard(path)
        while sftp(self.service.port, "amperity", self.setup.client_key, f'-rm "{path}"', check=False).returncode:
            self.expect_alive()

    def cut_off(self, path: str) -> None:
        """Have Amperity begin a file, and its connection break."""
        with (
            suppress(OSError, EOFError, paramiko.SSHException),
            RawSftp(self.service.port, "amperity", self.setup.client_key) as client,
        ):
            client.write(client.open(path.encode()).handle, 0, b"2125550100,V")
        self.service.wait_for("landing.upload_unconfirmed")

    def knock(self) -> None:
        """Have a stranger try to log in."""
        key = self._directory / "stranger_key"
        if not key.exists():
            ssh_keygen(key)
        sftp(self.service.port, "amperity", key, "pwd", check=False)

    def put_strangers_file(self, name: str) -> None:
        """Have somebody else put a file where the relay's lists go."""
        self.told.strangers.add(name)
        (self.upstream.uploads / name).write_bytes(b"of somebody else")

    def remove_strangers_file(self, name: str) -> None:
        """Have them take it away again, once."""
        self.once(f"remove {name}", lambda: self._remove_strangers_file(name))

    def _remove_strangers_file(self, name: str) -> None:
        (self.upstream.uploads / name).unlink()
        self.told.strangers.remove(name)

    def reload(self, then: str, *, count: int = 1) -> None:
        """Have the daemon read its configuration, and wait until it has said so for the `count`-th time."""
        self.expect_alive()
        try:
            self.service.reload()
        except ProcessLookupError:
            raise Ended from None
        self.service.wait_for(then, count=count)

    def once(self, what: str, deed: Callable[[], object]) -> None:
        """Do something that is not to be done again in a later life."""
        if what not in self.done:
            deed()
            self.done.add(what)

    def command(self, *arguments: str) -> None:
        """Give an operator's command, once."""
        self.once(" ".join(arguments), lambda: self._give(arguments))

    def try_command(self, *arguments: str) -> None:
        """Give an operator's command, whether or not it finds anything to do."""
        relay(self.setup, *arguments)

    def _give(self, arguments: tuple[str, ...]) -> None:
        given = relay(self.setup, *arguments)
        assert given.returncode == 0, given.stderr

    def ask(self, question: Callable[[Store], _Answer]) -> _Answer:
        """Ask the store something, beside the daemon."""
        store = Store.open_beside(self.database, read_only=True)
        try:
            return question(store)
        finally:
            store.close()

    def history(self) -> set[str]:
        """The events of everything that was noted so far."""
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as database:
            return {event for (event,) in database.execute("SELECT DISTINCT event FROM transitions")}

    def wait(self, condition: Callable[[Books], object], what: str) -> None:
        """Wait until the books say so.

        Raises:
            Ended: the daemon died before.
        """
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not condition(self.books()):
            self.expect_alive()
            if time.monotonic() > deadline:
                raise AssertionError(f"waited in vain for {what}: {self.books()}")
            time.sleep(_LOOK_EVERY_SECONDS)

    def wait_until_settled(self) -> None:
        """Wait until nothing is left that the relay would do by itself."""
        self.wait(lambda books: books.settled, "everything to settle")

    def expect_alive(self) -> None:
        """Go on if the daemon is alive.

        Raises:
            Ended: it is not.
        """
        if not self.service.is_running:
            raise Ended

    def books(self) -> Books:
        """What the relay has noted by now."""
        return read_books(self.database)

    def stop(self) -> None:
        """Stop the daemon in good order."""
        if status := self.service.stop():
            raise Ended(f"ended with {status}")

    def check_at_death(self) -> None:
        """See that also at this moment, with nobody there, the upstream has complete lists or none."""
        with TemporaryDirectory() as directory:
            # Looking at the database itself would tidy it up, and the next start is to find it as it was left.
            for path in self.setup.state.glob("relay.db*"):
                shutil.copy(path, directory)
            if (copy := Path(directory) / self.database.name).exists():
                check_upstream(read_books(copy), self.upstream.uploads, self.told.strangers)

    def check(self) -> None:
        """See that the promise was kept."""
        check_promise(self.books(), self.told, self.lives, [self.upstream.uploads])


@cache
def empty_database() -> bytes:
    """The bytes of a database with every table and nothing in it."""
    with TemporaryDirectory() as directory:
        path = Path(directory) / "relay.db"
        Store.open(path).close()
        assert list(path.parent.iterdir()) == [path]
        return path.read_bytes()
