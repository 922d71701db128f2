"""`relay show`: one export or delivery with everything that is known of it."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from relay.cli.context import config_option
from relay.cli.dossier import DeliveryDossier, ExportDossier
from relay.cli.state import read_state, unknown_id
from relay.cli.tables import print_json

if TYPE_CHECKING:
    from relay.spool import Spool
    from relay.store import Store


@click.command()
@config_option
@click.argument("it", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of text.")
def show(config: Path, it: str, *, as_json: bool) -> None:
    """Show one export or delivery: files, hashes, counts, reasons, and every change of state.

    \b
    Example:
      relay show sirendenim-20261123T062155Z-9c1e2a
      relay show sirendenim-20261123T062155Z-9c1e2a.1

    Each rejected row is in the export's rejects.csv, with its line, the reason and a masked value.
    """  # noqa: D301  click's mark for a paragraph that is not to be wrapped
    from relay.config import load
    from relay.spool import Spool

    loaded = load(config, with_files=False)
    with read_state(loaded) as store:
        dossier = _dossier(it, store, Spool(loaded.state_dir))
    if as_json:
        print_json(dossier.document())
    else:
        dossier.print(config)


def _dossier(it: str, store: "Store", spool: "Spool") -> ExportDossier | DeliveryDossier:
    history = store.transitions(it)
    if (export := store.export(it)) is not None:
        return ExportDossier(
            export,
            directory=spool.export(export.route, export.id),
            arrivals=store.arrivals(export_id=export.id),
            deliveries=store.deliveries(export_id=export.id),
            history=history,
        )
    if (delivery := store.delivery(it)) is not None:
        return DeliveryDossier(delivery, file=spool.draft(delivery), slices=store.slices(it), history=history)
    raise unknown_id(it, store)
