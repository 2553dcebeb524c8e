"""Every way in which a study file can be wrong that we could think of, and what it says then."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.study.complaints import assert_complains, complaint
from wsml_study.errors import StudyFileError
from wsml_study.study.data_section import Data, DatasetName
from wsml_study.study.method_section import Method, MethodName
from wsml_study.study.reading import parse_study, read_study
from wsml_study.study.spec import Study

STUDIES = Path(__file__).parents[2] / "studies"

GOOD = """\
name: s
data: {dataset: digit_scenes}
method: {name: LL-R, schedule: {rate_per_epoch: 0.002}}
"""
"""Three lines; what a test adds starts on line 4."""

METHODS = "  method.name: {choice: [AN, LL-R, LL-Ct]}\n"
KNOWN_DATASETS = ", ".join(f"`{name}`" for name in DatasetName)
KNOWN_METHODS = ", ".join(f"`{name}`" for name in MethodName)


NOT_YAML = {
    "a tab": ("name: s\ndata:\n\tdataset: digit_scenes\n", "3:1  not valid YAML: a tab; indent with spaces"),
    "an open list": (
        "name: s\nsearch: {method.name: {choice: [AN}}\n",
        "2:35  not valid YAML: expected ',' or ']', but got '}', while parsing a flow sequence that starts at 2:32",
    ),
    "an open quote": (
        'name: "s\n',
        "2:1  not valid YAML: found unexpected end of stream, while scanning a quoted scalar that starts at 1:7",
    ),
    "a key too far right": (
        "name: s\n  trials: 3\n",
        "2:9  not valid YAML: a key where none can be; look at the indentation, and quote a text that contains `: `",
    ),
    "a control character": ("name: s\nstorage: a\x07b\n", "2:11  not valid YAML: the character U+0007 is not allowed"),
    "an unquoted |": (
        "search: {separator: |, x: 1}\n",
        "1:21  not valid YAML: | cannot begin a text; quote it, as in '|'",
    ),
    "an unknown alias": ("name: *other\n", "1:7  `*other` has no anchor `&other` above it"),
    "an alias of itself": ("name: &a [*a]\n", "1:11  `*a` contains itself"),
    "deep nesting": ("name: " + "[" * 5000 + "\n", "1:39  nested more than 32 levels"),
}


@pytest.mark.parametrize(("text", "line"), NOT_YAML.values(), ids=NOT_YAML)
def test_what_is_not_yaml_names_the_place(tmp_path: Path, text: str, line: str) -> None:
    assert_complains(tmp_path, text, line)


def test_an_empty_block_of_text_names_the_quotes(tmp_path: Path) -> None:
    labels = "file: a.csv\n    separator: |\n    positives_column: b\n    unlisted: negative"
    assert_complains(
        tmp_path,
        GOOD.replace("{dataset: digit_scenes}", f"\n  dataset: table\n  root: x\n  labels:\n    {labels}"),
        "7:16  data.labels.separator: expected a text of at least one character, got ``; quote a character that means "
        "something in YAML, as in '|'",
    )


def test_a_bomb_of_aliases_is_defused(tmp_path: Path) -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    for level in range(1, 30):
        bomb += f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n"
    assert_complains(tmp_path, bomb, "4:5  expands to more than 10000 values")


def test_tags_are_refused_and_construct_nothing(tmp_path: Path) -> None:
    text = GOOD + "storage: !!python/object/apply:os.system [touch pwned]\nmodel: !model {backbone: small_cnn}\n"
    assert_complains(
        tmp_path,
        text,
        "4:10  storage: expected a plain value, got the tag `!!python/object/apply:os.system`; leave it out",
        "4:10  storage: expected a text, got a list",
        "5:8   model: expected a plain value, got the tag `!model`; leave it out",
    )


NOT_A_STUDY = {
    "a list": ("- name: s\n", "1:1  expected keys such as `name`, `data` and `method`, got a list"),
    "a word": ("study\n", "1:1  expected keys such as `name`, `data` and `method`, got `study`"),
    "nothing after a marker": ("---\n", "2:1  expected keys such as `name`, `data` and `method`, got nothing"),
}


@pytest.mark.parametrize(("text", "line"), NOT_A_STUDY.values(), ids=NOT_A_STUDY)
def test_what_is_not_a_mapping_says_what_is_expected(tmp_path: Path, text: str, line: str) -> None:
    assert_complains(tmp_path, text, line)


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n"])
def test_an_empty_file_shows_the_way_out(tmp_path: Path, text: str) -> None:
    assert complaint(tmp_path, text) == "study.yaml: empty; `wsml-study init` writes a study file to start from"


ONE_PROBLEM = {
    "a misspelt key": (
        "training: {optimiser: adam}\n",
        "4:12  training.optimiser: unknown key; did you mean `optimizer`?",
    ),
    "a part of a key's name": ("training: {ema: 0.9}\n", "4:12  training.ema: unknown key; did you mean `ema_decay`?"),
    "a key in the wrong section": ("epochs: 3\n", "4:1  epochs: unknown key; did you mean `training.epochs`?"),
    "a key like no other": (
        "model: {surface: red}\n",
        "4:9  model.surface: unknown key; known keys are backbone, weights, head, freeze, lora",
    ),
    "a key that YAML 1.1 would merge": (
        "model: {<<: red}\n",
        "4:9  model.<<: unknown key; known keys are backbone, weights, head, freeze, lora",
    ),
    "a key twice": ("trials: 1\ntrials: 2\n", "5:1  trials: written twice, first at 4:1"),
    "a key that is a list": ("? [a, b]\n: 1\n", "4:3  expected a word as a key, got a list, a mapping or an alias"),
    "a second document": ("---\nname: t\n", "4:1  expected one document, got a second one"),
    "a text for a whole number": (
        'training: {epochs: "10"}\n',
        "4:20  training.epochs: expected a whole number of at least 1, got the text `10`",
    ),
    "a fraction for a whole number": (
        "training: {epochs: 10.0}\n",
        "4:20  training.epochs: expected a whole number of at least 1, got 10.0",
    ),
    "YAML 1.1's thousands": (
        "training: {epochs: 1_000}\n",
        "4:20  training.epochs: expected a whole number of at least 1, got the text `1_000`",
    ),
    "a section twice": ("data: {dataset: voc2012}\n", "4:1  data: written twice, first at 2:1"),
    "zero where zero makes no sense": (
        "training: {learning_rate: 0}\n",
        "4:27  training.learning_rate: expected a number greater than 0, got 0",
    ),
    "infinity": (
        "training: {learning_rate: .inf}\n",
        "4:27  training.learning_rate: expected a number greater than 0, got inf",
    ),
    "a number of many digits": (
        f"training: {{learning_rate: {'9' * 5000}}}\n",
        "4:27  training.learning_rate: expected a number greater than 0, got inf",
    ),
    "a switch that is not one": (
        "training: {momentum: off}\n",
        "4:22  training.momentum: expected a number of at least 0 and less than 1, got `off`",
    ),
    "an unknown word": (
        "sampler: {name: tpee}\n",
        "4:17  sampler.name: expected one of `tpe`, `random`, `grid`, `brute_force`, `qmc`, `gp`, `cmaes`, `nsgaii`, "
        "`optunahub`, got `tpee`; did you mean `tpe`?",
    ),
    "a value for a section": (
        "model: resnet50\n",
        "4:8  model: expected a mapping with the keys backbone, weights, head, freeze, lora, got `resnet50`",
    ),
    "a section left empty": ("search:\n", "4:1  search: expected a mapping, got nothing"),
    "a name that is no folder": (
        "provenance: {study: s, trial: 0, value: 1, fingerprint: 7}\n",
        "4:57  provenance.fingerprint: expected a text, got 7",
    ),
    "GPUs that workers would share": (
        "resources: {workers_per_trial: 2, gpus_per_worker: 0.5}\ntraining: {batch_size: 2}\n",
        "4:52  resources.gpus_per_worker: expected whole GPUs for 2 workers per trial, got 0.5: "
        "two workers of a trial cannot share a GPU",
    ),
    "one and a half GPUs": (
        "resources: {gpus_per_worker: 1.5}\n",
        "4:30  resources.gpus_per_worker: expected a whole number of GPUs or a fraction of one, got 1.5",
    ),
    "a batch too small to share": (
        "resources: {workers_per_trial: 4}\ntraining: {batch_size: 2}\n",
        "5:24  training.batch_size: expected an image for each of the 4 workers of a trial, got a batch of 2",
    ),
    "momentum without SGD": (
        "training: {momentum: 0.9}\n",
        "4:12  training.momentum: optimizer adam takes no `momentum` (only sgd)",
    ),
    "a batch of a sampler that does not learn": (
        "sampler: {name: random, batch: 8}\n",
        "4:25  sampler.batch: sampler random takes no `batch` (only tpe, gp, cmaes, nsgaii, optunahub)",
    ),
    "a rule for no early stopping": (
        "early_stopping: {grace_epochs: 2}\n",
        "4:18  early_stopping.grace_epochs: early stopping none takes no `grace_epochs` (only asha, hyperband, median)",
    ),
    "trials without a search": (
        "trials: 5\n",
        "4:9  trials: expected 1, got 5: without `search` all trials would be the same",
    ),
    "a grace period as long as a trial": (
        "early_stopping: {name: asha, grace_epochs: 10}\n",
        "4:44  early_stopping.grace_epochs: expected fewer than the 10 epochs of a trial, got 10",
    ),
    "early stopping of single epochs": (
        "early_stopping: {name: asha}\ntraining: {epochs: 1}\n",
        "4:1  early_stopping.grace_epochs: expected fewer than the 1 epochs of a trial, got 1 (the default)",
    ),
}


@pytest.mark.parametrize(("text", "line"), ONE_PROBLEM.values(), ids=ONE_PROBLEM)
def test_a_wrong_key_or_value_names_its_place(tmp_path: Path, text: str, line: str) -> None:
    assert_complains(tmp_path, GOOD + text, line)


POPULATION = (
    "search:\n  training.learning_rate: {float: {low: 0.0001, high: 0.01}}\n"
    "early_stopping: {name: pbt}\nsampler: {name: random}\n"
)


def test_a_population_changes_nothing_that_an_epoch_does_not_read_anew(tmp_path: Path) -> None:
    lines = (
        "  training.seed: {int: {low: 0, high: 9}}\n",
        "  training.batch_size: {choice: [16, 32]}\n",
        "  method.schedule.warmup_epochs: {int: {low: 0, high: 2}}\n",
    )
    head, tail = POPULATION.split("early_stopping")
    told = complaint(tmp_path, GOOD + head + "".join(lines) + "early_stopping" + tail).splitlines()
    assert told[0].endswith("3 problems")
    for line, key, number in zip(
        told[1:], ("training.seed", "training.batch_size", "method.schedule.warmup"), (6, 7, 8), strict=True
    ):
        assert line.strip().startswith(f"{number}:3  {key}")
        assert "a population (early_stopping pbt) cannot change it in mid-training; it can change" in line
        assert "training.learning_rate" in line


def test_a_population_takes_no_model_based_sampler(tmp_path: Path) -> None:
    assert_complains(
        tmp_path,
        GOOD + POPULATION.replace("random", "tpe"),
        "7:17  sampler.name: expected `random` or `grid` with early_stopping pbt, got `tpe`: a population changes "
        "values during training, and a model-based sampler only knows the initial ones",
    )


def test_a_population_whose_interval_is_a_whole_trial_is_none(tmp_path: Path) -> None:
    assert_complains(
        tmp_path,
        GOOD + POPULATION.replace("pbt}", "pbt, interval_epochs: 10}"),
        "6:46  early_stopping.interval_epochs: expected fewer than the 10 epochs of a trial, got 10",
    )


SEARCH_PROBLEMS = {
    "an unknown key": (
        "  method.schedule.rate_per_epochs: {choice: [0.1]}\n",
        "5:3  method.schedule.rate_per_epochs: unknown key; did you mean `method.schedule.rate_per_epoch`?",
    ),
    "a key without its section": (
        "  learning_rate: {choice: [0.1]}\n",
        "5:3  learning_rate: unknown key; did you mean `training.learning_rate`?",
    ),
    "a key like no other": (
        "  colour: {choice: [red]}\n",
        "5:3  colour: unknown key; keys to search look like `training.epochs`",
    ),
    "a section": (
        "  model: {choice: [small_cnn]}\n",
        "5:3  model: a section, not a single value; keys to search: model.backbone, model.weights, model.head, "
        "model.freeze.stages, model.freeze.all_but, model.lora.rank, model.lora.alpha, model.lora.targets",
    ),
    "the validation images": (
        "  data.validation.seed: {choice: [1, 2]}\n",
        "5:3  data.validation.seed: cannot be searched: it changes what the objective means, "
        "so its trials could not be compared",
    ),
    "what does not belong to a trial": (
        "  sampler.seed: {choice: [1, 2]}\n",
        "5:3  sampler.seed: cannot be searched: it says how the study runs, not what a trial computes",
    ),
    "no domain": (
        "  training.seed: {when: {method.name: [LL-R]}}\n",
        "5:18  training.seed: expected exactly one of choice, float, int; got none of them",
    ),
    "two domains": (
        "  training.seed: {choice: [1], int: {low: 1, high: 2}}\n",
        "5:18  training.seed: expected exactly one of choice, float, int; got choice and int",
    ),
    "a misspelt domain": (
        "  training.seed: {choices: [1]}\n",
        "5:19  training.seed.choices: unknown key; did you mean `choice`?",
    ),
    "a domain of another name": (
        "  training.seed: {grid: [1]}\n",
        "5:19  training.seed.grid: unknown key; known keys are choice, float, int, weights, auto, when",
    ),
    "a list for a domain": (
        "  training.seed: [1, 2]\n",
        "5:18  training.seed: expected a mapping with the keys choice, float, int, weights, auto, when, got a list",
    ),
    "an empty choice": (
        "  training.seed: {choice: []}\n",
        "5:27  training.seed.choice: expected a list of at least one value, got an empty list",
    ),
    "a choice that is no list": (
        "  training.seed: {choice: 3}\n",
        "5:27  training.seed.choice: expected a list of at least one value, got 3",
    ),
    "a choice of nothing": (
        "  training.seed: {choice: [1, null]}\n",
        "5:31  training.seed.choice: expected a number, a text, true or false, got nothing",
    ),
    "a choice twice": (
        "  training.seed: {choice: [1, 2, 1]}\n",
        "5:34  training.seed: the choice 1 is listed twice",
    ),
    "a choice that the key does not take": (
        "  method.name: {choice: [AN, LL-r]}\n",
        f"5:30  method.name: expected one of {KNOWN_METHODS}, got `LL-r`; did you mean `LL-R`?",
    ),
    "a range without an end": (
        "  training.seed: {int: {low: 1}}\n",
        "5:19  training.seed.int.high: missing; expected a whole number",
    ),
    "a range upside down": (
        "  method.schedule.rate_per_epoch: {float: {low: 0.01, high: 0.001}}\n",
        "5:43  method.schedule.rate_per_epoch: expected low < high, got low=0.01, high=0.001",
    ),
    "the logarithm of zero": (
        "  training.weight_decay: {float: {low: 0, high: 0.1, log: true}}\n",
        "5:34  training.weight_decay: a logarithmic range needs low > 0, got low=0.0",
    ),
    "steps of a logarithm": (
        "  training.seed: {int: {low: 1, high: 9, log: true, step: 2}}\n",
        "5:24  training.seed: a logarithmic range takes no `step`",
    ),
    "a step over the end": (
        "  training.seed: {int: {low: 1, high: 9, step: 9}}\n",
        "5:24  training.seed: expected a step that fits between low=1 and high=9, got step=9",
    ),
    "an end that the key does not take": (
        "  method.schedule.rate_per_epoch: {float: {low: 0.1, high: 1.5}}\n",
        "5:60  method.schedule.rate_per_epoch: expected a number from 0 to 1, got high=1.5",
    ),
    "real numbers for a whole one": (
        "  training.epochs: {float: {low: 1, high: 5}}\n",
        "5:21  training.epochs: expected a whole number of at least 1, got a range of `float`; use `int`",
    ),
    "a range of words": (
        "  training.optimizer: {int: {low: 1, high: 5}}\n",
        "5:24  training.optimizer: expected one of `adam`, `adamw`, `sgd`, got a range of `int`; use `choice`",
    ),
    "a batch too small to share": (
        "  training.batch_size: {choice: [8, 1]}\nresources: {workers_per_trial: 2}\n",
        "5:37  training.batch_size: expected an image for each of the 2 workers of a trial, got a batch of 1",
    ),
    "a grid of a continuum": (
        "  training.learning_rate: {float: {low: 0.1, high: 1}}\nsampler: {name: grid}\n",
        "5:35  training.learning_rate: the sampler `grid` needs a `step` in a range of real numbers",
    ),
    "a sampler of numbers without numbers": (
        METHODS + "sampler: {name: cmaes}\n",
        "6:17  sampler.name: cmaes models numbers, and the search has no range `float` or `int`; use tpe",
    ),
    "momentum where nothing is SGD": (
        "  training.momentum: {choice: [0.5, 0.9]}\n",
        "5:3  training.momentum: makes no difference: only optimizer sgd takes it, and no trial has that",
    ),
    "a rate where no method has a schedule": (
        "  method.name: {choice: [AN, full]}\n  method.schedule.rate_per_epoch: {choice: [0.1]}\n",
        "6:3  method.schedule.rate_per_epoch: makes no difference: only method LL-R or LL-Ct or LL-Cp takes it, "
        "and no trial has that",
    ),
    "a shape that lacks a parameter": (
        "  method.schedule.shape: {choice: [linear, constant]}\n",
        "5:44  method.schedule.shape: shape constant needs `final_rate`; give it in the base config, or search it",
    ),
}


@pytest.mark.parametrize(("text", "line"), SEARCH_PROBLEMS.values(), ids=SEARCH_PROBLEMS)
def test_a_wrong_search_names_its_place(tmp_path: Path, text: str, line: str) -> None:
    assert_complains(tmp_path, f"{GOOD}search:\n{text}", line)


CONDITION_PROBLEMS = {
    "an unknown key": (
        "{method.nam: [AN]}",
        "6:26  training.seed: when method.nam: unknown key; did you mean `method.name`?",
    ),
    "a section": (
        "{model: [x]}",
        "6:26  training.seed: when model: a section, not a single value; keys for conditions: "
        "model.backbone, model.weights, model.head, model.freeze.stages, model.freeze.all_but, model.lora.rank, "
        "model.lora.alpha, model.lora.targets",
    ),
    "the key itself": (
        "{training.seed: [1]}",
        "6:26  training.seed: when training.seed: a key cannot be its own condition",
    ),
    "no value": ("{method.name: []}", "6:26  training.seed: when method.name: never holds: it lists no value"),
    "a value outside a list": (
        "{method.name: AN}",
        "6:39  training.seed.when.method.name: expected a list, got `AN`",
    ),
    "a value that is never tried": (
        "{method.name: [AN, LL-CT]}",
        "6:44  training.seed: when method.name: never holds: the search never tries `LL-CT`; did you mean `LL-Ct`?",
    ),
    "a value like no other": (
        "{method.name: [full]}",
        "6:40  training.seed: when method.name: never holds: the search never tries `full`; "
        "it tries `AN`, `LL-R`, `LL-Ct`",
    ),
    "a fixed key with another value": (
        "{training.optimizer: [sgd]}",
        "6:26  training.seed: when training.optimizer: never holds: it is not searched, and fixed to `adam`",
    ),
    "a fixed key that is absent": (
        "{training.momentum: [0.5]}",
        "6:26  training.seed: when training.momentum: never holds: it is not searched, and fixed to nothing",
    ),
    "a fixed key with an impossible value": (
        "{training.optimizer: [adam, sdg]}",
        "6:53  training.seed: when training.optimizer: expected one of `adam`, `adamw`, `sgd`, got `sdg`; did you mean "
        "`sgd`?",
    ),
}


@pytest.mark.parametrize(("when", "line"), CONDITION_PROBLEMS.values(), ids=CONDITION_PROBLEMS)
def test_a_wrong_condition_names_its_place(tmp_path: Path, when: str, line: str) -> None:
    text = f"{GOOD}search:\n{METHODS}  training.seed: {{when: {when}, choice: [1, 2]}}\n"
    assert_complains(tmp_path, text, line)


def test_a_condition_on_a_continuum_never_holds(tmp_path: Path) -> None:
    text = f"""{GOOD}search:
  training.learning_rate: {{float: {{low: 0.1, high: 0.2}}}}
  training.seed: {{when: {{training.learning_rate: [0.15]}}, choice: [1, 2]}}
"""
    assert_complains(
        tmp_path,
        text,
        "6:51  training.seed: when training.learning_rate: expected a key with a `choice` or steps, "
        "since a continuous range almost never is 0.15",
    )


def test_circular_conditions_name_every_key_in_the_circle(tmp_path: Path) -> None:
    text = f"""{GOOD}search:
  training.seed: {{when: {{training.optimizer: [adam]}}, choice: [1, 2]}}
  training.optimizer: {{when: {{training.seed: [1]}}, choice: [adam, sgd]}}
"""
    circle = "circular conditions: training.optimizer -> training.seed -> training.optimizer"
    assert_complains(tmp_path, text, f"5:19  training.seed: {circle}", f"6:24  training.optimizer: {circle}")


def test_conditions_that_exclude_each_other_make_a_key_pointless(tmp_path: Path) -> None:
    text = f"""{GOOD}search:
{METHODS}  method.variant: {{when: {{method.name: [LL-R]}}, choice: [code, paper]}}
  training.seed: {{when: {{method.name: [AN], method.variant: [code]}}, choice: [1, 2]}}
"""
    assert_complains(tmp_path, text, "7:3  training.seed: makes no difference: its conditions never hold together")


def test_a_needed_key_that_some_trials_neither_search_nor_have_is_missed(tmp_path: Path) -> None:
    text = """\
name: s
data: {dataset: digit_scenes}
method: {name: LL-R, schedule: {shape: linear}}
search:
  method.name: {choice: [LL-R, LL-Ct]}
  method.schedule.rate_per_epoch: {when: {method.name: [LL-R]}, choice: [0.1]}
"""
    assert_complains(
        tmp_path,
        text,
        "6:3  method.schedule.rate_per_epoch: some trials take it without searching it, and the base config has "
        "no value: shape linear needs `rate_per_epoch`",
    )


def test_a_needed_key_of_a_base_choice_that_some_trials_keep_is_missed(tmp_path: Path) -> None:
    """LL-Ct keeps the base shape, which the search never tries and which lacks its rate."""
    text = """\
name: s
data: {dataset: digit_scenes}
method: {name: LL-R, schedule: {shape: constant, rate_per_epoch: 0.1}}
search:
  method.name: {choice: [LL-R, LL-Ct]}
  method.schedule.shape: {when: {method.name: [LL-R]}, choice: [linear]}
"""
    assert_complains(
        tmp_path,
        text,
        "3:22  method.schedule.final_rate: shape constant needs `final_rate`; give it in the base config, or search it",
    )


def test_a_wrong_entry_is_reported_beside_a_wrong_base_value(tmp_path: Path) -> None:
    text = f"{GOOD}training: {{epochs: 0}}\nsearch:\n  training.epochs: {{choice: [-1]}}\n"
    assert_complains(
        tmp_path,
        text,
        "4:20  training.epochs: expected a whole number of at least 1, got 0",
        "6:30  training.epochs: expected a whole number of at least 1, got -1",
    )


def test_hidden_labels_of_validation_cannot_be_searched(tmp_path: Path) -> None:
    text = """\
name: s
data: {dataset: digit_scenes, validation: {labels: observed}}
method: {name: AN}
search:
  data.observe.positives: {choice: [1, all]}
"""
    assert_complains(
        tmp_path,
        text,
        "5:3  data.observe.positives: cannot be searched while data.validation.labels is `observed`: "
        "it would change the labels that trials are evaluated on",
    )


def test_missing_keys_point_at_their_section(tmp_path: Path) -> None:
    assert_complains(
        tmp_path,
        "\nname: s\ndata: {root: x}\nmethod: {variant: code}\nprovenance: {}\n",
        f"3:1  data.dataset: missing; expected one of {KNOWN_DATASETS}",
        f"4:1  method.name: missing; expected one of {KNOWN_METHODS}",
        "5:1  provenance.fingerprint: missing; expected a text",
        "5:1  provenance.study: missing; expected a text",
        "5:1  provenance.trial: missing; expected a whole number of at least 0",
        "5:1  provenance.value: missing; expected a number",
    )


def test_missing_sections_point_at_the_file(tmp_path: Path) -> None:
    keys = (
        "dataset, root, labels, features, feature_scaling, image_size, horizontal_flip, store, pixel_range, "
        f"interpolation and {len(Data.model_fields) - 10} more"
    )
    assert_complains(
        tmp_path,
        "# a comment\ntrials: 1\n",
        f"2:1  data: missing; expected a mapping with the keys {keys}",
        "2:1  method: missing; expected a mapping with the keys name, schedule, negative_weight, smoothing, "
        "expected_positives, estimate_learning_rate_multiplier, variant, gamma_positive, gamma_negative, "
        f"probability_margin and {len(Method.model_fields) - 10} more",
        "2:1  name: missing; expected a text that matches ^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$",
    )


def test_keys_that_the_base_config_needs_or_must_not_have(tmp_path: Path) -> None:
    assert_complains(
        tmp_path,
        "name: s\ndata: {dataset: voc2012}\nmethod: {name: AN, schedule: {shape: step, rate_per_step: 0.1}}\n",
        "2:1   data.root: dataset voc2012 needs `root`",
        "3:20  method.schedule.epochs_per_step: shape step needs `epochs_per_step`",
        "3:20  method.schedule: method AN takes no `schedule` (only LL-R, LL-Ct, LL-Cp)",
    )


def test_all_problems_come_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = """\
name: bad name
data: {dataset: voc2012x, observe: {positives: 0}}
method:
  name: LL-R
  schedule: {shape: linear, rate_per_epoch: 0.002, final_rate: .3}
training: {batch_size: 1, optimiser: sgd, momentum: 0.9}
search:
  method.nam: {choice: [AN, LL-R]}
  method.schedule.rate_per_epoch:
    when: {method.name: [AN]}
    float: {low: 0.03, high: 0.0005}
  training.seed: {when: {training.learning_rate: [1]}, int: {low: -1, high: 2}}
  training.precision: {choice: [fp16], float: 3}
sampler: {name: cmaes}
trials: 12
resources: {workers_per_trial: 2}
trials: 13
"""
    assert_complains(
        tmp_path,
        text,
        "1:7    name: expected a text that matches ^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$, got `bad name`",
        f"2:17   data.dataset: expected one of {KNOWN_DATASETS}, got `voc2012x`; did you mean `voc2012`?",
        "2:48   data.observe.positives: expected a whole number of at least 1 or `all`, got 0",
        "5:52   method.schedule.final_rate: shape linear takes no `final_rate` (only constant, capped_linear, cosine)",
        "6:24   training.batch_size: expected an image for each of the 2 workers of a trial, got a batch of 1",
        "6:27   training.optimiser: unknown key; did you mean `optimizer`?",
        "8:3    method.nam: unknown key; did you mean `method.name`?",
        "11:12  method.schedule.rate_per_epoch: expected low < high, got low=0.03, high=0.0005",
        "12:67  training.seed: expected a whole number from 0 to 4294967295, got low=-1",
        "13:47  training.precision.float: expected a mapping with the keys low, high, log, step, prior, got 3",
        "17:1   trials: written twice, first at 15:1",
    )


def test_one_mistake_is_not_reported_twice_over(tmp_path: Path) -> None:
    """Neither the momentum of what was meant as SGD, nor conditions on a key that has a problem of its own."""
    text = f"""{GOOD}training: {{optimiser: sgd, momentum: 0.9}}
search:
  method.nam: {{choice: [AN, LL-R]}}
  training.seed: {{when: {{method.name: [AN]}}, choice: [1, 2]}}
"""
    assert_complains(
        tmp_path,
        text,
        "4:12  training.optimiser: unknown key; did you mean `optimizer`?",
        "6:3   method.nam: unknown key; did you mean `method.name`?",
    )


def test_other_encodings_are_refused(tmp_path: Path) -> None:
    assert complaint(tmp_path, "name: s\nstorage: r\u00e9sultats\n".encode("latin-1")) == (
        "study.yaml: 1 problem\n  2:11  expected UTF-8, got the byte 0xE9"
    )


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert read_study(tmp_path / "study.yaml").name == "s"


def test_a_missing_file_names_the_one_that_was_meant(tmp_path: Path) -> None:
    (tmp_path / "voc2012.yaml").write_text(GOOD)
    with pytest.raises(StudyFileError) as raised:
        read_study(tmp_path / "voc2021.yaml")
    assert str(raised.value) == (
        f"{tmp_path}/voc2021.yaml: there is no such file; did you mean `{tmp_path}/voc2012.yaml`?"
    )


def test_a_folder_is_no_study_file(tmp_path: Path) -> None:
    (tmp_path / "voc2012.yaml").write_text(GOOD)
    with pytest.raises(StudyFileError, match=r"expected a study file, got a folder; it has voc2012\.yaml"):
        read_study(tmp_path)


def test_a_folder_of_results_names_its_study(tmp_path: Path) -> None:
    folder = tmp_path / "voc"
    folder.mkdir()
    (folder / "study.yaml").write_text(GOOD)
    (folder / "events.jsonl").touch()
    with pytest.raises(StudyFileError) as raised:
        read_study(folder)
    assert str(raised.value) == (
        f"{folder}: expected a study file, got a folder of results; "
        f"its study is `{folder}/study.yaml --storage {tmp_path}`"
    )


def test_a_huge_file_is_no_study_file(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text("#" * 2_000_000)
    with pytest.raises(StudyFileError, match="expected a study file of at most 1,000,000 bytes"):
        read_study(tmp_path / "study.yaml")


def test_numbers_and_words_follow_yaml_1_2(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(GOOD + "training: {learning_rate: 1e-5, epochs: 010}\nstorage: off\n")
    study = read_study(file)
    assert study.training.learning_rate == 1e-5
    assert study.training.epochs == 10
    assert study.storage == "off"


def test_anchors_spare_repetition(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(
        f"""{GOOD}search:
  method.name: {{choice: &methods [LL-R, LL-Ct]}}
  training.seed: {{when: {{method.name: *methods}}, choice: [1, 2]}}
"""
    )
    assert read_study(file).search["training.seed"].when == {"method.name": ("LL-R", "LL-Ct")}


def test_a_key_that_only_searched_methods_take_may_stand_in_the_base_config(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(
        f"""\
name: s
data: {{dataset: digit_scenes}}
method: {{name: AN, schedule: {{rate_per_epoch: 0.002}}}}
search:
{METHODS}"""
    )
    study = read_study(file)
    assert study.method.name is MethodName.AN
    assert study.method.schedule is not None


@pytest.mark.parametrize("file", sorted(STUDIES.glob("*.yaml")), ids=lambda file: file.stem)
def test_the_studies_that_we_ship_are_valid(file: Path) -> None:
    assert isinstance(read_study(file), Study)
    assert file.read_text().startswith("# yaml-language-server: $schema=study.schema.json\n")


def test_keys_of_final_training_are_refused_where_trials_are_compared(tmp_path: Path) -> None:
    search = "search:\n  training.learning_rate: {choice: [1e-3, 1e-4]}\n"
    both = GOOD.replace("digit_scenes}", "digit_scenes, train_on: train+validation}")
    message = "belongs to final training, after the search: remove it here, or all of `search`"
    assert_complains(tmp_path, both + search, f"2:31  data.train_on: {message}")
    stopped = "training: {epochs: 5, stop_after_epoch: 3}\n"
    assert_complains(tmp_path, GOOD + stopped + search, f"4:23  training.stop_after_epoch: {message}")
    over_seeds = "search:\n  training.seed: {choice: [1, 2]}\n"
    (tmp_path / "study.yaml").write_text(both + stopped + over_seeds)
    assert read_study(tmp_path / "study.yaml").training.last_epoch == 3
    assert_complains(
        tmp_path,
        GOOD + "training: {epochs: 5, stop_after_epoch: 6}\n",
        "4:41  training.stop_after_epoch: expected at most the 5 epochs of the training, got 6",
    )
    assert_complains(
        tmp_path,
        GOOD + "search:\n  data.train_on: {choice: [train, train+validation]}\n",
        "5:3  data.train_on: cannot be searched: it changes what the objective means, so its trials could not be "
        "compared",
    )


def test_the_share_of_the_training_images_is_checked_and_not_searched(tmp_path: Path) -> None:
    message = (
        "data.train_share: cannot be searched: the largest share would win; list the shares under `factors`, or run a "
        "study per share"
    )
    assert_complains(tmp_path, GOOD + "search:\n  data.train_share: {choice: [0.5, 1]}\n", f"5:3  {message}")
    expected = "2:44  data.train_share: expected a number greater than 0 and of at most 1, got 0"
    assert_complains(tmp_path, GOOD.replace("digit_scenes}", "digit_scenes, train_share: 0}"), expected)


def test_content_without_a_file_is_judged_alike() -> None:
    good = {"name": "s", "data": {"dataset": "digit_scenes"}, "method": {"name": MethodName.AN}, "trials": 1}
    assert parse_study(good, "event log").method.name is MethodName.AN
    with pytest.raises(StudyFileError) as raised:
        parse_study(good | {"trials": 2, "trails": 2}, "event log")
    assert str(raised.value) == "event log: 1 problem\n  trails: unknown key; did you mean `trials`?"


@settings(max_examples=200)
@given(st.text(alphabet=" \n:-,[]{}&*!|>'\"%@#?abn01.e\t", max_size=60))
def test_no_text_escapes_as_anything_but_a_study_file_error(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    file = tmp_path_factory.getbasetemp() / "fuzz.yaml"
    file.write_text(GOOD + text)
    with contextlib.suppress(StudyFileError):
        assert isinstance(read_study(file), Study)


WORDS = st.sampled_from(
    ["name", "data", "method", "search", "training.seed", "method.name", "choice", "when", "AN", "x"]
)
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize("content", [{"recipe": {"name": "asl2021"}}, {"objective": {"mode": {"max": None}}}])
def test_a_mapping_where_a_word_belongs_is_told_as_that(content: dict[str, object]) -> None:
    good = {"name": "s", "data": {"dataset": "digit_scenes"}, "method": {"name": "AN"}}
    with pytest.raises(StudyFileError, match=r"expected one of .*, got a mapping"):
        parse_study(good | content, "t")


@settings(max_examples=300)
@given(st.dictionaries(WORDS | st.sampled_from(list(Study.model_fields)), JUNK, max_size=5))
def test_no_content_escapes_as_anything_but_a_study_file_error(content: dict[str, object]) -> None:
    good = {"name": "s", "data": {"dataset": "digit_scenes"}, "method": {"name": "AN"}}
    with contextlib.suppress(StudyFileError):
        assert isinstance(parse_study(good | content, "junk"), Study)
