"""The mapping as a page of the documentation: ``python -m agent.exports.mapping_page > docs/mapping.md``."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from agent.exports.mapping import Mapping, NboField, load_mapping

_HEAD = """# The mapping

Made from `agent/exports/mapping.toml` by `python -m agent.exports.mapping_page`; do not edit.

Which of our fields is which field of 4DN-BINA-OME (NBO {version}, now LiMi-Model), OME-XML 2016-06, REMBI and
OME-Zarr. *Tier* is NBO's, with `*` where it is required there; *who* can supply it. A row without a field of ours is
asked for by the standard and kept only as it was imported (`nbo` of the part).
"""


def mapping_page() -> str:
    """Return the page as Markdown."""
    mapping = load_mapping()
    lines = [_HEAD.format(version=mapping.nbo_version)]
    for nbo, fields in mapping.fields.items():
        if fields:
            lines += [f"## {nbo}", "", *_table(fields), ""]
    lines += ["## Quality control", "", *_qc(mapping), ""]
    return "\n".join(lines)


def _table(fields: Iterable[NboField]) -> Iterable[str]:
    yield "| ours | NBO | tier | unit | OME-XML | REMBI | OME-Zarr | methods | who |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for field in fields:
        ours = f"`{field.field}`" if field.field else ""
        cells = (
            ours,
            field.key,
            f"{field.tier}{'*' if field.required else ''}",
            field.unit,
            field.ome,
            field.rembi,
            field.ngff,
            field.methods,
            field.who,
        )
        yield f"| {' | '.join(cells)} |"


def _qc(mapping: Mapping) -> Iterable[str]:
    yield "| routine | figure | unit | NBO | tier | microscopemetrics 0.0.5 | fills |"
    yield "|---|---|---|---|---|---|---|"
    for row in mapping.qc:
        keys = ("routine", "metric", "unit", "nbo", "tier", "microscopemetrics", "feeds")
        yield f"| {' | '.join(str(row.get(key, '')) for key in keys)} |"


if __name__ == "__main__":
    sys.stdout.buffer.write(mapping_page().encode())
