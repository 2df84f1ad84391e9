"""The configuration for people: each value with its source, and the table of options for the README."""

from __future__ import annotations

from collections.abc import Iterator

from syncagent.config.loader import Draft
from syncagent.config.model import VolumeConfig
from syncagent.config.options import OPTIONS, VOLUME_OPTIONS
from syncagent.log import printable

Row = tuple[str, str, str]


def listing(draft: Draft) -> str:
    """One line for each value: key, value, source. Secrets are files, so only their paths are shown."""
    rows = [("OPTION", "VALUE", "SOURCE"), *_rows(draft)]
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    return "".join(f"{key:{widths[0]}}  {value:{widths[1]}}  {source}\n" for key, value, source in rows)


def markdown() -> str:
    """Two tables, of options and of a volume's options, in GitHub's Markdown."""
    lines = ["| Flag | Variable | Key | Default | SIGHUP | Meaning |", "|---|---|---|---|---|---|"]
    for option in OPTIONS:
        key = f"`{option.key}`" if option.in_file else ""
        flag = f"`{option.flag} {option.metavar}`" + (", repeatable" if option.plural else "")
        variable, sighup = f"`{option.variable}`", _yes(option.on_sighup)
        lines.append(_line(flag, variable, key, option.default_shown, sighup, option.meaning))
    lines += ["", "| Volume option | Values | Default | SIGHUP | Meaning |", "|---|---|---|---|---|"]
    for choice in VOLUME_OPTIONS:
        lines.append(_line(f"`{choice.key}`", choice.form, choice.default, _yes(choice.on_sighup), choice.meaning))
    return "\n".join(lines) + "\n"


def _rows(draft: Draft) -> Iterator[Row]:
    for option in OPTIONS:
        source = draft.config.sources[option.key]
        if option.key == "volumes":
            yield from _volume_rows(draft)
        elif option.key in draft.rejected:
            yield option.key, f"{printable(draft.rejected[option.key])} (refused)", source
        elif option.plural:
            values = getattr(draft.config, option.key)
            yield option.key, " ".join(option.show(value) for value in values) or "-", source
        else:
            yield option.key, printable(option.show(getattr(draft.config, option.key))) or "-", source


def _volume_rows(draft: Draft) -> Iterator[Row]:
    source = draft.config.sources["volumes"]
    refused = {key: text for key, text in draft.rejected.items() if key.partition(".")[0] == "volumes"}
    for key, text in refused.items():
        yield printable(key), f"{printable(text)} (refused)", source
    if not draft.config.volumes and not refused:
        yield "volumes", "-", source
    for volume in draft.config.volumes:
        yield from _one_volume(volume, draft)


def _one_volume(volume: VolumeConfig, draft: Draft) -> Iterator[Row]:
    prefix = f"volumes.{volume.name}"
    yield f"{prefix}.path", printable(volume.path), draft.config.sources[f"{prefix}.path"]
    for option in VOLUME_OPTIONS:
        key = f"{prefix}.{option.key}"
        yield key, option.show(getattr(volume, option.key)), draft.config.sources[key]


def _yes(value: bool) -> str:
    return "yes" if value else ""


def _line(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
