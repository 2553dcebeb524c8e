"""Contract suites for plug-ins: each runs everything that a kind of record promises, on a record found by its name.

A check raises AssertionError that names the record and the promise it breaks. The checks need no pytest; each module
also lists its promises one by one (`METHOD_CONTRACT`, ...), for test modules that want a case per promise.
"""

from wsml_study.testing.backbone_contract import check_backbone
from wsml_study.testing.method_contract import check_method
from wsml_study.testing.metric_contract import check_metric
from wsml_study.testing.reader_contract import check_reader
from wsml_study.testing.rule_contract import check_early_stopping
from wsml_study.testing.sampler_contract import check_sampler
from wsml_study.testing.tracker_contract import check_tracker

__all__ = [
    "check_backbone",
    "check_early_stopping",
    "check_method",
    "check_metric",
    "check_reader",
    "check_sampler",
    "check_tracker",
]
