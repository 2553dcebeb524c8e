"""Records of a plug-in each of which breaks one promise of its kind; `broken_parts.py` has what computes."""

from __future__ import annotations

from wsml_study.data.reader_record import ReaderRecord, Reads
from wsml_study.methods.method_record import MethodRecord
from wsml_study.options import COUNT, FLAG, Option
from wsml_study.study.backbone_record import BackboneRecord
from wsml_study.study.early_stopping_record import EarlyStoppingRecord
from wsml_study.study.metric_record import MetricRecord
from wsml_study.study.sampler_record import SamplerRecord
from wsml_study.study.tracker_record import TrackerRecord


def part(name: str) -> str:
    return f"broken_parts:{name}"


def method(name: str, factory: str) -> MethodRecord:
    return MethodRecord(name=name, title="t", formula="f", reduction="mean", source="s", factory=part(factory))


METHODS = (
    method("Counts-Padding", "CountsPadding"),
    method("Forgets-State", "ForgetsState"),
    method("Reads-Values", "ReadsValues"),
    method("Distrusts-Observed", "DistrustsObserved"),
)

READERS = tuple(
    ReaderRecord(name=name, content="c", layout="l", reads=Reads.NOTHING, reader=part(name))
    for name in ("writable_labels", "shares_images", "draws_by_hash", "imports_torch", "wrong_name")
)

BACKBONES = tuple(
    BackboneRecord(name=name, title="t", build=part(name), any_size=True)
    for name in ("ignores_the_seed", "first_layer_as_head", "unused_layer", "fixed_size")
)

SAMPLERS = (
    SamplerRecord(name="global_state", title="t", create=part("GlobalState"), model_based=False),
    SamplerRecord(name="looks_at_results", title="t", create=part("LooksAtResults"), model_based=False),
    SamplerRecord(name="always_the_same", title="t", create=part("AlwaysTheSame"), model_based=False),
)

RULES = (
    EarlyStoppingRecord(name="keeps_lost_epochs", title="t", create=part("keeps_lost_epochs")),
    EarlyStoppingRecord(name="counts_questions", title="t", create=part("counts_questions")),
    EarlyStoppingRecord(name="depends_on_order", title="t", create=part("depends_on_order")),
    EarlyStoppingRecord(name="ends_nothing", title="t", create=part("ends_nothing")),
    EarlyStoppingRecord(
        name="too_early",
        title="t",
        create=part("too_early"),
        first_decision="calm_epochs",
        options=(Option(key="calm_epochs", limits=COUNT, default=1, meaning="m"),),
    ),
)

TRACKERS = tuple(
    TrackerRecord(name=name, meaning="m", limits=FLAG, default=False, open=part(open_))
    for name, open_ in (("tells_twice", "TellsTwice"), ("loses_when_killed", "LosesWhenKilled"), ("fails", "Fails"))
)

METRICS = (
    MetricRecord(name="wrong_way", title="t", label="l", compute=part("share_right"), greater_is_better=False),
    MetricRecord(name="zero_of_nothing", title="t", label="l", compute=part("zero_of_nothing")),
    MetricRecord(name="constant", title="t", label="l", compute=part("constant")),
    MetricRecord(name="sorts_in_place", title="t", label="l", compute=part("sorts_in_place")),
)
