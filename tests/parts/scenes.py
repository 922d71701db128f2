"""Scenes of a relay's life, to be played by a `Play`."""

from collections.abc import Callable
from typing import Final

from parts.lists import phones
from parts.play import Play
from parts.promise import Books
from relay.model import DeliveryState

Scene = Callable[[Play], None]


def sent(play: Play) -> None:
    """An export of two segments arrives, and both lists are sent."""
    play.upload("/uploads/list.csv", phones(99, "VIP", "Lapsed"))
    play.wait(lambda books: _count(books, DeliveryState.SENT) >= 2, "both lists to be sent")


def repeated(play: Play) -> None:
    """An export is delivered again: the same bytes, then other bytes that say the same."""
    play.upload("/uploads/list.csv", phones(99, "VIP"))
    play.wait(lambda books: _count(books, DeliveryState.SENT) >= 1, "the list to be sent")
    play.upload("/uploads/again.csv", phones(99, "VIP"))
    play.upload("/uploads/with-header.csv", phones(99, "VIP", header=True))
    play.wait(lambda books: len(books.exports) >= 3 and books.settled, "the others to be recognised")


def split(play: Play) -> None:
    """A list of more rows than a file may have goes out as several, and a day's second one after it."""
    play.guards('oversize = "split"\nmax_rows = 40\nsame_day = "send"')
    play.upload("/uploads/list.csv", phones(99, "VIP"))
    play.wait(lambda books: _count(books, DeliveryState.SENT) >= 1, "the list to be sent")
    play.upload("/uploads/next.csv", phones(90, "VIP"))
    play.wait(lambda books: _count(books, DeliveryState.SENT) >= 2, "the next to be sent")


def quarantined(play: Play) -> None:
    """A cut-off export waits for a person, who has it judged again, and then gives it up."""
    play.upload("/uploads/cut-off.csv", phones(99, "VIP") + b'2125550100,"VIP')
    play.wait(lambda books: books.exports and books.settled, "the export to be set aside")
    play.command("requeue", play.books().exports[0].id)
    play.wait(lambda books: books.settled, "the export to be set aside again")
    play.command("discard", play.books().exports[0].id)
    play.wait_until_settled()


SCENES: Final[dict[str, Scene]] = {scene.__name__: scene for scene in (sent, repeated, split, quarantined)}


def _count(books: Books, state: DeliveryState) -> int:
    return sum(it.state is state for it in books.deliveries)
