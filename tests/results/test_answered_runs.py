"""Rankings by people's answers: what they change, and where nothing changes."""

import json

import numpy as np
import pytest

from tests.sample_studies.half_labelled import (
    CAT,
    KNOWN,
    NAMES,
    answer_all,
    half_labelled_study,
    questions,
)
from wsml_study.errors import DataError, ResultsError
from wsml_study.record.answer_log import AnswerLog
from wsml_study.record.questions import Answer, Question
from wsml_study.record.score_files import write_scores
from wsml_study.report.answer_summary import answered_lines, hidden_lines, log_lines
from wsml_study.report.estimated_ranges import with_estimated_ranges
from wsml_study.report.question_files import next_set
from wsml_study.report.summary import study_summary
from wsml_study.results.answered_runs import read_answered, read_hidden_positives
from wsml_study.results.confirmation import worth_confirming
from wsml_study.results.export import export_configs
from wsml_study.results.ranking import ranked_trials
from wsml_study.results.trial_filter import select_trials
from wsml_study.study.confirm_section import Confirm
from wsml_study.study.reading import parse_study


@pytest.fixture
def storage(tmp_path):
    return half_labelled_study(tmp_path / "told")


def test_without_answers_nothing_changes(storage):
    AnswerLog(storage).add_set(questions())
    assert read_answered(storage.folder) is None
    trials = ranked_trials(storage.folder)
    assert trials["trial"].tolist() == [1, 0, 3, 2]
    assert not [name for name in trials.columns if "answered" in name]
    assert answered_lines(storage.folder, study_argument="told.yaml") == []


def test_estimated_labels_rank_trials_without_answers_and_say_so(tmp_path):
    folder = half_labelled_study(tmp_path / "told", labels="estimated").folder
    trials = ranked_trials(folder)
    assert trials["answered_map"].isna().tolist() == [False, False, True, True]
    assert trials["trial"].tolist()[2:] == [3, 2], "3 has a value but no scores, 2 failed"
    assert trials["answered_map"].iloc[0] >= trials["answered_map"].iloc[1]
    assert (trials["answered_high"] - trials["answered_low"])[:2].min() > 5, "nobody has told anything yet"
    found = read_answered(folder)
    assert (found.num_answers, found.left_out) == (0, (3,))
    assert hidden_lines(folder) == []
    lines = answered_lines(folder, study_argument="told.yaml")
    assert lines[0].startswith("Ranked by the mAP estimated from the labels given and all trials' scores, with 90 % ")
    assert "often not which trial is best" in lines[1]
    (path,) = export_configs(folder, output=tmp_path / "configs")
    assert "# Ranked by an estimate: " in path.read_text()
    assert ranked_trials(half_labelled_study(tmp_path / "known", labels="known").folder)["trial"].tolist()[0] == 1


def test_answers_change_the_ranking_by_an_estimate(tmp_path):
    storage = half_labelled_study(tmp_path / "told", labels="estimated")
    before = ranked_trials(storage.folder)["answered_map"].iloc[0]
    answer_all(storage)
    assert ranked_trials(storage.folder)["answered_map"].iloc[0] == pytest.approx(100, abs=0.5), (
        "an answer may be wrong"
    )
    assert before < 99


def test_with_answers_trials_rank_by_the_estimate_and_keep_their_values(storage):
    answer_all(storage)
    trials = ranked_trials(storage.folder)
    assert trials["trial"].tolist() == [0, 1, 3, 2], "3 has a value but no scores, 2 failed"
    assert trials["value"].tolist()[:3] == [60.0, 70.0, 52.0]
    assert trials["answered_map"].iloc[0] == pytest.approx(100, abs=0.5), "an answer may be wrong"
    assert trials["answered_map"].iloc[1] < 60
    assert trials["answered_map"].isna().tolist() == [False, False, True, True]
    assert (trials["answered_low"] <= trials["answered_map"] + 1e-9)[:2].all()
    assert (trials["answered_map"] <= trials["answered_high"] + 1e-9)[:2].all()
    found = read_answered(storage.folder)
    assert (found.num_answers, found.left_out, found.best) == (27, (3,), (0, 1))
    assert found.figures.settled
    table = select_trials(storage.folder)
    assert table["trial"].to_pylist() == [0, 1, 3, 2]
    assert table["answered_map"].null_count == 2


def test_confirmation_export_and_summary_follow_the_answers(storage, tmp_path):
    answer_all(storage)
    folder = storage.folder
    assert worth_confirming(ranked_trials(folder), Confirm(top=1)) == [1, 0], "LL-R, and AN as the baseline"
    (path,) = export_configs(folder, output=tmp_path / "configs")
    assert "trial0" in path.name
    assert "# Ranked by 27 answers: 99." in path.read_text()
    assert "answers: 27" in path.read_text()
    lines = "\n".join(study_summary(folder, place="told", num_trials=4, study_argument="told.yaml"))
    assert "27 answers (9 yes, 18 no, 0 cannot say)" in lines
    assert "Trials without an estimate come last: 3 " in lines
    assert "Settled: trial 0 (" in lines
    assert ", 100.0]" in lines


def test_answers_about_images_that_are_gone_are_counted_and_told(storage):
    log = AnswerLog(storage)
    gone = Question(image="gone.jpg", class_name=CAT, row=0)
    log.add_set(questions().model_copy(update={"questions": (*questions().questions, gone)}))
    said = {"answer": "no", "by": "ann", "at": "2026-01-01T00:00:00", "set_number": 1, "class_name": CAT}
    log.append([Answer(image=name, **said) for name in ("gone.jpg", NAMES[29])])
    found = read_answered(storage.folder)
    assert (found.num_answers, found.num_unknown) == (1, 1)
    assert "1 of them are about images" in "\n".join(answered_lines(storage.folder, study_argument="x"))


def test_what_is_open_is_not_asked_again_and_answered_pairs_never_are(storage):
    log = AnswerLog(storage)

    def next_rows(**options):
        return {one.row for one in next_set(storage.folder, log, name="told", num=100, **options).questions}

    assert next_rows(again=False) == set(range(KNOWN, 30))
    answer_all(storage, range(KNOWN, 6))
    log.add_set(questions(range(6, 10), number=2))
    assert next_rows(again=False) == set(range(10, 30))
    assert next_rows(again=True) == set(range(6, 30))
    log.add_set(questions(range(10, 30), number=3))
    with pytest.raises(ResultsError, match=r"nothing is left to ask: .* or was asked and is open \(--again"):
        next_rows(again=False)
    assert log_lines(log)[:3] == [
        "set 1: 3 of 3 questions answered",
        "set 2: 0 of 4 questions answered",
        "set 3: 0 of 20 questions answered",
    ]


def test_sets_of_a_study_share_its_identity(storage):
    log = AnswerLog(storage)
    first = next_set(storage.folder, log, name="told", num=2, again=False)
    log.add_set(first)
    second = next_set(storage.folder, log, name="told", num=2, again=False)
    assert (second.number, second.study_id) == (2, first.study_id)
    assert not {one.pair for one in first.questions} & {one.pair for one in second.questions}


@pytest.mark.parametrize("labels", ["clean", "known"])
def test_a_study_without_scores_is_told_what_to_do(storage, labels):
    for path in (storage.folder / "validation_scores").glob("*"):
        path.unlink()
    (storage.folder / "validation_scores").rmdir()
    path = storage.folder / "study.yaml"
    path.write_text(path.read_text().replace("labels: clean", f"labels: {labels}"))
    expected = "judged by clean validation labels" if labels == "clean" else "an earlier version ran them"
    with pytest.raises(ResultsError, match=expected):
        next_set(storage.folder, AnswerLog(storage), name="told", num=2, again=False)


def test_scores_of_other_images_do_not_count(storage):
    answer_all(storage)
    logits_MC = np.ones((7, 2), np.float16) - 3
    write_scores(*storage.scores(), 1, epoch=1, logits_MC=logits_MC, images="of a table that was changed since")
    assert read_answered(storage.folder).left_out == (1, 3)
    assert json.loads(ranked_trials(storage.folder)["answered_map"].to_json())["1"] is None


def test_the_share_of_hidden_positives_comes_from_answers_and_gives_the_range_of_a_rate(storage):
    with pytest.raises(ResultsError, match="nobody has answered yet"):
        read_hidden_positives(storage.folder)
    assert hidden_lines(storage.folder) == []
    answer_all(storage, range(KNOWN, 20))
    found, num_answers = read_hidden_positives(storage.folder)
    assert num_answers == 20 - KNOWN
    assert found.low <= found.share <= found.high < 0.5, "all cats are told or answered"
    assert hidden_lines(storage.folder)[-1].endswith(f"{{auto: {storage.folder}}}}}")
    key = "method.schedule.rate_per_epoch"
    content = {
        "name": "next",
        "data": {"dataset": "digit_scenes", "validation": {"labels": "observed"}},
        "method": {"name": "LL-R", "schedule": {"rate_per_epoch": 0.01}},
        "search": {key: {"auto": str(storage.folder)}},
    }
    auto = with_estimated_ranges(parse_study(content, source="test")).search[key].auto
    assert auto.basis == f"{num_answers} answers about validation images of told"
    assert auto.share == pytest.approx(0.9 * found.share, abs=1e-3), "nine of ten labels are unobserved there"
    content["search"] = {key: {"auto": str(storage.folder / "missing")}}
    with pytest.raises(DataError, match="expected the folder of an earlier study"):
        with_estimated_ranges(parse_study(content, source="test"))
