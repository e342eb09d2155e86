"""What the commands show to people: headings, tables and summaries, as wide as the terminal."""

from __future__ import annotations

from textwrap import shorten
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl
    from rich.console import Console

    from sfframe.results import LoadResult


CELL = 40  # characters of a cell that a table shows


def console() -> Console:
    """Standard error: standard output is kept for data."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def heading(text: str) -> None:
    """A line that starts a section."""
    console().print(f"\n[bold]{text}[/bold]")


def say(text: str) -> None:
    """A line as it is."""
    console().print(text, markup=False, soft_wrap=True)


def show(frame: pl.DataFrame, *, types: bool = False) -> None:
    """``frame`` as a table; with ``types`` each heading names its column's type."""
    from rich.table import Table
    from rich.text import Text

    heads = [f"{name}\n{dtype}" if types else name for name, dtype in frame.schema.items()]
    table = Table(*heads, header_style="bold")
    for row in frame.iter_rows():
        table.add_row(*(Text("" if cell is None else shorten(str(cell), CELL, placeholder="…")) for cell in row))
    console().print(table)


def tell(result: LoadResult[pl.DataFrame]) -> None:
    """The summary of a load, and its failures by cause with what to do about each."""
    say(result.summary())
    causes = result.triage()
    if not causes.height:
        return
    from rich.table import Table
    from rich.text import Text

    table = Table("rows", "status", "cause", box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.columns[0].justify = "right"
    for cause in causes.iter_rows(named=True):
        named = f"{cause['code'] or ''} {cause['fields'] or ''}".strip()
        text = Text(f"{named}: " if named else "", style="bold").append(cause["message"] or "", style="not bold")
        sample = ", ".join(str(row) for row in cause["sample_rows"])
        text.append(f"\n{cause['advice']} First rows: {sample}.", style="not bold dim")
        table.add_row(f"{cause['rows']:,}", cause["status"], text)
    console().print(table)
