"""The status as people see it: in colour on a terminal, as plain columns elsewhere. Fits 80 columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from syncagent.cli.output import NOTHING, UNKNOWN, ago, count, printable, seconds, size, table

if TYPE_CHECKING:
    from rich.console import Group

HEADINGS = ["REPLICA", "CONNECTED", "IN SYNC", "LAG", "LAST SEEN"]

Volume = dict[str, Any]


def plain_status(status: dict[str, Any]) -> list[str]:
    """Lines of text."""
    lines = []
    for volume in status["volumes"]:
        lines += [_title(volume), *(f"  {line}" for line in verdict(volume))]
        lines += [f"  {line}" for line in table(HEADINGS, replica_rows(volume, status["time"]))]
        lines.append("")
    lines += [f"trouble: {_trouble(trouble)}" for trouble in status.get("troubles", [])]
    return lines if lines else [f"agent {status['agent']} has no volumes"]


def rich_status(status: dict[str, Any]) -> Group:
    """The same for a terminal."""
    from rich.console import Group, RenderableType
    from rich.table import Table
    from rich.text import Text

    parts: list[RenderableType] = []
    for volume in status["volumes"]:
        good = bool(volume["in_sync"])
        parts.append(Text(printable(_title(volume)), style="bold"))
        parts += [Text(f"  {printable(line)}", style="green" if good else "yellow") for line in verdict(volume)]
        drawn = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", expand=False)
        for heading in HEADINGS:
            drawn.add_column(heading, overflow="ellipsis", no_wrap=True, min_width=5 if heading == "REPLICA" else None)
        for replica, row in zip(volume["replicas"], replica_rows(volume, status["time"]), strict=True):
            style = "green" if replica["in_sync"] else "yellow" if replica["connected"] else "red"
            drawn.add_row(*(Text(printable(cell), style=style) for cell in row))
        parts += [_indented(drawn), Text("")]
    parts += [Text(printable(f"trouble: {_trouble(trouble)}"), style="red") for trouble in status.get("troubles", [])]
    return Group(*parts) if parts else Group(Text(f"agent {status['agent']} has no volumes"))


def replica_rows(volume: Volume, now: str) -> list[list[str]]:
    """A row for each replica, in the order of ``HEADINGS``."""
    return [_row(replica, now) for replica in volume["replicas"]]


def verdict(volume: Volume) -> list[str]:
    """In sync or not and what a person has to look at; a second line says why the volume is halted."""
    words = ["in sync" if volume["in_sync"] else "not in sync"]
    if not volume["ready"]:
        words.append("not ready")
    if volume.get("pending"):
        words.append(f"{count(volume['pending'], 'entry')} to fetch")
    words += [f"{what} {volume[what]:,}" for what in ("conflicts", "problems", "held")]
    lines = [", ".join(words)]
    return [*lines, f"halted: {volume['halt']}"] if volume.get("halt") else lines


def _title(volume: Volume) -> str:
    parts = [
        volume["state"],
        volume["direction"],
        volume["watch"],
        count(volume["entries"], "entry"),
        size(volume["bytes"]),
    ]
    return f"{volume['name']}: {', '.join(parts)}"


def _row(replica: dict[str, Any], now: str) -> list[str]:
    if replica["self"]:
        return [f"{replica['name']} (this one)", NOTHING, _progress(replica), NOTHING, NOTHING]
    connected = "yes" if replica["connected"] else "never" if replica.get("expected") else "no"
    seen = "now" if replica["connected"] else ago(replica["last_seen"], now)
    return [replica["name"], connected, _progress(replica), seconds(replica["lag_seconds"]), seen]


def _progress(replica: dict[str, Any]) -> str:
    """In sync, or how far behind; a replica that lacks nothing we know of and is away is not known to be in sync."""
    if replica["in_sync"]:
        return "yes"
    entries, content = replica["entries_behind"], replica["bytes_behind"]
    if entries is None:
        return UNKNOWN
    if not entries:
        return "no" if replica["connected"] or replica["self"] else "when last seen"
    return f"{count(entries, 'entry')}{'' if content is None else ', ' + size(content)} behind"


def _trouble(trouble: dict[str, Any]) -> str:
    return "; ".join(part for part in (trouble["text"], trouble.get("remedy")) if part)


def _indented(drawn: Any) -> Any:
    from rich.padding import Padding

    return Padding(drawn, (0, 0, 0, 2))
