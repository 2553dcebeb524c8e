"""Record of EPR: name, formula, options, published numbers."""

from __future__ import annotations

from wsml_study.methods.baselines_entry import COLE
from wsml_study.methods.method_record import MethodRecord, published
from wsml_study.options import AT_LEAST_0, Option

EXPECTED_POSITIVES = Option(
    key="expected_positives",
    limits=AT_LEAST_0,
    symbol="m",
    meaning="positive labels of an image on average",
    by_dataset={"voc2012": 1.5, "coco2014": 2.9, "nuswide": 1.9, "cub": 31.4, "digit_scenes": 2.2},
    search="{float: {low: 1.0, high: 40.0, log: true}}",
)

RECORDS = (
    MethodRecord(
        name="EPR",
        position=60,
        title="expected-positive regularization: observed labels, and how many positives an image has",
        formula="positive -ln p; observed negative -ln(1 - p); unobserved 0\n"
        "plus ((mean over images of sum p) - m)^2 / C^2",
        reduction="mean",
        source=COLE,
        factory="wsml_study.methods.expected_positives:ExpectedPositives",
        options=(EXPECTED_POSITIVES,),
        published_map=published((85.5, 84.9), (63.3, 66.8), (46.0, 48.1), (20.0, 21.2)),
    ),
)
