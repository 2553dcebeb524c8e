"""What the screen shows of a study: every trial, and no answer that is not sure."""

from dataclasses import replace

from tests.sample_studies.stories import small_study, told_history
from wsml_study.record.history import StudyHistory
from wsml_study.record.tables import write_tables
from wsml_study.record.trial_history import TrialState
from wsml_study.report.summary import answer, study_summary, trials_table
from wsml_study.results.ranking import ranked_trials
from wsml_study.results.trial_filter import select_trials


def test_the_table_is_as_printed(folder):
    assert trials_table(ranked_trials(folder)) == [
        "rank  trial  method  rate_per_epoch  val mAP  best epoch  epochs  state",
        "1     1      LL-R    0.01            70.00    2           2       stopped",
        "2     0      AN      -               60.00    1           2       complete",
        "3     3      AN      -               52.00    1           1       running",
        "4     2      LL-R    0.02            -        -           0       failed: the worker group stopped",
    ]


def test_a_table_of_no_trials_is_its_headings(folder):
    nothing = select_trials(folder, where="value > 1000").to_pandas()
    assert [line.split()[0] for line in trials_table(nothing)] == ["rank"]


def test_the_best_of_a_search_is_not_presented_as_the_result(folder):
    summary = study_summary(folder, place=str(folder), num_trials=4, study_argument="told.yaml")
    assert "told: 3 of 4 trials ended (1 complete, 1 stopped early, 1 failed)" in summary
    said = answer(folder, study_argument="told.yaml")
    assert said == [
        "The search leads with LL-R, rate_per_epoch 0.01 (trial 1). Not confirmed yet, and the best value of a search "
        "is optimistic:",
        "  wsml-study confirm told.yaml",
    ]
    assert set(said) <= set(summary)
    assert summary[-1] == "Not finished; nothing is lost. The same command resumes the study."
    outside_the_table = summary[:1] + summary[summary.index("", 2) :]
    assert not any("70.00" in line for line in outside_the_table)


def test_a_finished_search_says_what_to_type_next(folder):
    summary = study_summary(folder, place=str(folder), num_trials=3, study_argument="told.yaml")
    assert summary[-3:] == [
        "Next:",
        "  wsml-study export told.yaml --per method -o configs/",
        "  wsml-study train configs/told-LL-R-trial1.yaml --seeds 3",
    ]


def test_the_end_of_a_large_study_shows_its_best_trials_and_why_some_failed(tmp_path):
    study, folder = small_study(), tmp_path / "told"
    history = told_history(study)
    for number in range(4, 2_000):
        history.trials[number] = replace(history.trials[number % 3], number=number)
    folder.mkdir()
    write_tables(folder, study, history)
    lines = study_summary(folder, place=str(folder), num_trials=2_000, study_argument="told.yaml")
    assert sum("70.00" in line for line in lines) == 40
    assert sum("failed: the worker group stopped" in line for line in lines) == 3
    assert "and 1,957 more: wsml-study results told.yaml" in lines


def test_full_labels_are_an_upper_bound_and_no_contender(tmp_path):
    study, folder = small_study(), tmp_path / "told"
    history = told_history(study)
    history.trials[1].config["method"] = {"name": "full"}
    folder.mkdir()
    write_tables(folder, study, history)
    summary = study_summary(folder, place=str(folder), num_trials=3, study_argument="told.yaml")
    assert any(line.startswith("The search leads with AN (trial 0). Not confirmed yet") for line in summary)
    assert "With all labels (full), an upper bound, the search reached 70.00 %." in summary
    assert summary[-1] == "  wsml-study train configs/told-AN-trial0.yaml --seeds 3"


def test_trials_of_one_config_are_said_to_be_what_seeds_make_of_it(tmp_path):
    study, folder = small_study(), tmp_path / "told"
    history = told_history(study)
    for seed, number in enumerate((0, 1, 3)):
        history.trials[number].config = {
            "data": {"dataset": "digit_scenes", "observe": {"seed": seed}},
            "method": {"name": "AN"},
            "training": {"seed": seed},
        }
    folder.mkdir()
    write_tables(folder, study, history)
    assert answer(folder, study_argument="told.yaml") == [
        "These 3 trials are one config with other seeds: 60.67 % validation mAP on average (52.00 to 70.00); their "
        "differences are the effect of the seed."
    ]


def test_a_study_without_an_epoch_says_so(tmp_path):
    study, history = small_study(), StudyHistory()
    write_tables(tmp_path, study, history)
    assert answer(tmp_path, study_argument="told.yaml") == ["No trial has finished an epoch yet."]


def test_a_study_whose_trials_all_failed_says_so(tmp_path):
    study = small_study()
    history = told_history(study)
    for trial in history.trials.values():
        trial.state, trial.error = TrialState.FAILED, "the training loss is nan in epoch 1"
    path = tmp_path / "results" / "told"
    path.mkdir(parents=True)
    write_tables(path, study, history)
    lines = study_summary(path, place=str(path), num_trials=len(history.trials), study_argument="told.yaml")
    assert lines[-1] == "Every trial failed; correct the cause named above, then `wsml-study run STUDY --restart`."
