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
            Option(key="interval_epochs", limits=COUNT, default=1, meaning="number of epochs between two comparisons"),
            Option(
                key="quantile",
                limits=Limits(most=0.5, without_least=True),
                default=0.25,
                meaning="fraction of worst trials that take over a network of the same fraction of best trials",
            ),
            Option(
                key="resample_probability",
                limits=FRACTION,
                default=0.25,
                meaning="probability that a value is drawn anew instead of being changed by a fifth",
            ),
        ),
    ),
)
