"""Population based training, which ends no trial; `tuning/population.py` runs it."""

from __future__ import annotations

from wsml_study.options import COUNT, FRACTION, Limits, Option
from wsml_study.study.early_stopping_record import EarlyStoppingRecord
from wsml_study.tuning.stopping_rules.median_stopping import MIN_TRIALS

RECORDS = (
    EarlyStoppingRecord(
        name="pbt",
        position=40,
        title="ends no trial: worse ones take over the networks of better ones and continue with other values "
        "(population based training)",
        create=None,
        first_decision="interval_epochs",
        is_population=True,
        options=(
            MIN_TRIALS,
            Option(
                key="interval_epochs", limits=COUNT, default=1, meaning="trials are compared after every so many epochs"
            ),
            Option(
                key="quantile",
                limits=Limits(most=0.5, without_least=True),
                default=0.25,
                meaning="share of the worst trials that take over one of the same share of the best",
            ),
            Option(
                key="resample_probability",
                limits=FRACTION,
                default=0.25,
                meaning="chance of a value to be drawn anew instead of being moved by a fifth",
            ),
        ),
    ),
)
