"""What is seen of a long rewrite while it goes on: what was recognised, at once, and on a terminal a bar."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from relay.cli.figures import rows

if TYPE_CHECKING:
    from relay.rewrite.progress import Progress

Recognised = Mapping[str, Any]


@contextmanager
def watched(tell: Callable[[Recognised], None]) -> Iterator[Callable[["Progress"], None]]:
    """Give what is told how far a rewrite is; `tell` is told once what it was taken for, as soon as that is known."""
    if sys.stderr.isatty():
        with _bar(tell) as show:
            yield show
    else:
        yield _once(tell)


def _once(tell: Callable[[Recognised], None]) -> Callable[["Progress"], None]:
    told = False

    def show(it: "Progress") -> None:
        nonlocal told
        if it.recognised is not None and not told:
            told = True
            tell(it.recognised)

    return show


@contextmanager
def _bar(tell: Callable[[Recognised], None]) -> Iterator[Callable[["Progress"], None]]:
    """Show the share of the bytes that were read; while something is unpacked, that it goes on."""
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    bar = Bar(*columns, console=Console(stderr=True), transient=True)
    task = bar.add_task("reading", total=None)

    def tell_above(recognised: Recognised) -> None:
        # Off the terminal meanwhile, as what is told may go elsewhere.
        bar.stop()
        tell(recognised)
        bar.start()

    told = _once(tell_above)

    def show(it: "Progress") -> None:
        told(it)
        words = "unpacking" if it.size is None else rows(it.rows)
        bar.update(task, description=words, total=it.size, completed=it.read)

    with bar:
        yield show
