"""The pictures in the documentation, taken of the real thing: `PYTHONPATH=tests python -m parts.pictures docs`.

The report by Chromium, in light and in dark; `relay status` of thirty routes as SVG, as a terminal shows it.
"""

import io
import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from click.testing import CliRunner
from rich.console import Console
from rich.text import Text

from parts.browser import picture_of
from parts.host import Host, a_host
from parts.month import live_for_a_month
from parts.thirty import thirty_routes
from relay.cli import main

_COLUMNS: Final = 120
_PROGRAM: Final = re.compile(r"\S*python\S* -m relay( --config \S+)?")


def take(into: Path) -> None:
    """Take every picture."""
    with TemporaryDirectory() as temporary:
        with a_host(Path(temporary) / "month") as host:
            live_for_a_month(host)
            page = Path(temporary) / "report.html"
            host.run("report", "--output", str(page))
            picture_of(page, "light", into / "report.png")
            picture_of(page, "dark", into / "report-dark.png")
        with thirty_routes(Path(temporary) / "thirty") as host:
            (into / "status.svg").write_text(_drawn(_status(host)), encoding="utf-8")


def _status(host: Host) -> str:
    """What `relay status` says in colour, on a host where it is installed as usual."""
    said = CliRunner().invoke(main, ["--config", str(host.config), "status"], color=True).stdout
    return _PROGRAM.sub("relay", said).replace(str(host.state_dir), "/var/lib/relay")


def _drawn(said: str) -> str:
    """Text with colours as a picture; its font is whichever the reader has, as none is to be fetched."""
    console = Console(record=True, width=_COLUMNS, file=io.StringIO())
    console.print(Text.from_ansi(said), soft_wrap=True)
    drawn = console.export_svg(title="relay status", unique_id="status")
    return re.sub(r"@font-face \{.*?\}", "", drawn, flags=re.DOTALL)


if __name__ == "__main__":
    take(Path(sys.argv[1]).resolve())
