"""The generated part of docs/methods.md: names, published figures and sources of all methods, from their records."""

from __future__ import annotations

from collections.abc import Iterator

from wsml_study.methods.catalogue import DATASETS, METHODS
from wsml_study.methods.method_record import KIM, MethodRecord

COLUMNS = ("voc2012", "coco2014", "nuswide", "cub")
"""Datasets of the usual protocol: one observed positive per image, ResNet-50 at 448 pixels."""


def published_table() -> str:
    """Markdown: a row per method of ours with its published mAP, and what the figures are from."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    sources = list(dict.fromkeys(record.published_source for record in METHODS.values() if _has_figures(record)))
    yield f"| method | {' | '.join(DATASETS[name] for name in COLUMNS)} | from |"
    yield f"|---|{'---|' * len(COLUMNS)}---|"
    for name, record in METHODS.items():
        if _has_figures(record):
            cells = [_figures(record, dataset) for dataset in COLUMNS]
            yield f"| {name} | {' | '.join(cells)} | {sources.index(record.published_source) + 1} |"
    yield ""
    yield from (f"{number}. {source}" for number, source in enumerate(sources, start=1))
    without = [name for name, record in METHODS.items() if not _has_figures(record)]
    yield ""
    yield f"Without figures in this protocol: {', '.join(without)}."
    yield ""
    yield "| method | paper and public code |"
    yield "|---|---|"
    yield from (f"| {name} | {record.source} |" for name, record in METHODS.items())


def _has_figures(record: MethodRecord) -> bool:
    return any(dataset in record.published_map for dataset in COLUMNS)


def _figures(record: MethodRecord, dataset: str) -> str:
    end_to_end, linear_init = record.published_map[dataset]
    decimals = 1 if record.published_source == KIM else 2
    return f"{end_to_end:.{decimals}f}" + ("" if linear_init is None else f" / {linear_init:.{decimals}f}")
