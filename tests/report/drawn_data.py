"""What a chart draws, as plain data."""

from __future__ import annotations

from wsml_study.report.figures.figure import Panel


def data_of(panel: Panel) -> list[list[dict]]:
    """What each layer of a chart draws, without layers that draw the same."""
    chart = panel.chart.to_dict()
    sets = chart["datasets"]
    layers = [sets[layer.get("data", chart.get("data"))["name"]] for layer in chart.get("layer", [chart])]
    return [layer for number, layer in enumerate(layers) if layer not in layers[:number]]


def values(rows: list[dict], *keys: str) -> list[tuple]:
    return [tuple(row[key] for key in keys) for row in rows]
