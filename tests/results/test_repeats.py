"""What is said of proposals that were not run."""

import json

import pandas as pd

from wsml_study.results.repeats import num_repeats, repeat_notes


def trials(*repeated):
    """A trials table; for each trial the numbers of the trials that proposals before it repeat."""
    columns = [json.dumps([{"trial": trial, "values": {}} for trial in some]) if some else None for some in repeated]
    methods = ["AN", "LL-R", "LL-Cp"][: len(repeated)]
    return pd.DataFrame({"trial": range(len(repeated)), "method": methods, "repeats": columns})


def test_every_repeat_counts_for_the_trial_that_ran():
    assert num_repeats(trials([], [0, 0], [0, 1])) == {0: 3, 1: 1}
    assert repeat_notes(trials([], [0, 0], [0, 1])) == [
        "4 proposals of the sampler would have computed the same as an earlier trial and shared its run instead of "
        "running again: trial 0 (AN) 3, trial 1 (LL-R) 1."
    ]


def test_without_repeats_nothing_is_said():
    assert repeat_notes(trials([], [])) == []
