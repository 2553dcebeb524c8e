"""`ask` and `answers` on a study's folder: files, what is printed, what is refused."""

import csv
import json
import threading
import urllib.request

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from tests.sample_studies.stories import told_history
from wsml_study.cli.entry import app
from wsml_study.errors import ResultsError
from wsml_study.record.questions import Answer
from wsml_study.record.score_files import PartialLabels, write_partial_labels, write_scores
from wsml_study.record.storage import StudyStorage
from wsml_study.record.tables import write_tables
from wsml_study.report.question_page import question_page
from wsml_study.report.question_server import served_questions
from wsml_study.results.answered_runs import log_of
from wsml_study.study.reading import read_study

NAMES = tuple(f"photos/{number}.png" for number in range(12))
STUDY = """\
name: told
data: {{dataset: table, root: {root}, image_size: 16, labels: {{file: {root}/labels.csv, test_file: {root}/test.csv}}}}
method: {{name: LL-R, schedule: {{rate_per_epoch: 0.002}}}}
search:
  method.name: {{choice: [AN, LL-R]}}
  method.schedule.rate_per_epoch: {{when: {{method.name: [LL-R]}}, float: {{low: 0.001, high: 0.1}}}}
trials: 4
"""


@pytest.fixture
def folder(tmp_path):
    """A study of photos, of whose validation labels two positives are known, with scores of two trials."""
    root = tmp_path / "data"
    (root / "photos").mkdir(parents=True)
    rows = ["image,cat,dog"]
    for number, name in enumerate(NAMES):
        Image.new("RGB", (20, 20), (20 * number, 0, 0)).save(root / name)
        rows.append(f"{name},{'1' if number < 2 else ''},0")
    Image.new("RGB", (20, 20), "blue").save(root / "test.png")
    (root / "test.csv").write_text("image,cat,dog\ntest.png,1,0\n")
    (root / "labels.csv").write_text("\n".join(rows) + "\n")
    path = tmp_path / "told"
    path.mkdir()
    (path / "study.yaml").write_text(STUDY.format(root=root))
    study = read_study(path / "study.yaml")
    write_tables(path, study, told_history(study))
    place = StudyStorage(folder=path, remote=None)
    states_MC = np.array([[1 if row < 2 else 0, -1] for row in range(12)], np.int8)
    write_partial_labels(place, PartialLabels(names=NAMES, classes=("cat", "dog"), states_MC=states_MC, images="ab"))
    for trial, turn in ((0, 1), (1, -1)):
        logits_M = turn * np.linspace(3, -3, 12)
        logits_MC = np.stack([logits_M, logits_M - 4], axis=1).astype(np.float16)
        write_scores(*place.scores(), trial, epoch=1, logits_MC=logits_MC, images="ab")
    return path


def printed(*arguments) -> str:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def refused(*arguments) -> str:
    with pytest.raises(ResultsError) as error:
        CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    return str(error.value)


def filled(questions, answers, by="ann"):
    """The table with an answer in each row: cats are in the first five photos."""
    with questions.open() as file:
        rows = list(csv.DictReader(file))
    with answers.open("w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        for row in rows:
            number = int(row["image"].split("/")[1].removesuffix(".png"))
            table.writerow(row | {"answer": "yes" if number < 5 else "no", "by": by})
    return answers


def test_ask_writes_a_page_that_says_what_comes_next(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = printed("ask", folder, "--answers", 4).splitlines()
    assert lines[0] == "Set 1: 4 questions about 4 validation images, the most useful first"
    assert lines[1].startswith("wrote told-questions-1.html (")
    assert lines[-1] == f"Then: wsml-study answers {folder} FILE"
    page = (tmp_path / "told-questions-1.html").read_text()
    assert page.count("data:image/jpeg;base64") == 4
    assert f"wsml-study answers {folder} " in page
    assert "set 1: 0 of 4 questions answered" in printed("answers", folder)
    lines = printed("ask", folder, "--answers", 4, "-o", tmp_path / "second.csv").splitlines()
    assert lines[0].startswith("Set 2: 4 questions")
    assert lines[1].endswith("second.csv (0.2 KB)")
    asked = [question.image for one in log_of(folder).question_sets() for question in one.questions]
    assert len(set(asked)) == 8
    assert "told-questions-1.html exists" in refused("ask", folder, "--set", 1)
    assert len(log_of(folder).question_sets()) == 2
    assert "--set 3: the study has asked 2 sets so far" in refused("ask", folder, "--set", 3)


def test_answers_are_taken_once_and_change_the_ranking(folder, tmp_path):
    questions = tmp_path / "q.csv"
    printed("ask", folder, "--answers", 10, "-o", questions)
    answers = filled(questions, tmp_path / "a.csv")
    assert printed("results", folder).splitlines()[1].split()[:2] == ["1", "1"]
    lines = printed("answers", folder, answers).splitlines()
    assert lines[0] == f"{answers}: 10 answers (3 yes, 7 no, 0 cannot say)"
    assert lines[1] == "set 1: 10 of 10 questions answered"
    assert printed("results", folder).splitlines()[1].split()[:2] == ["1", "0"], "trial 0 leads by the answers"
    assert "10 answers (3 yes, 7 no, 0 cannot say), 0 of them new" in printed("answers", folder, answers)
    listed = json.loads(printed("answers", folder, "--show", "--format", "json"))
    assert {(one["answer"], one["by"]) for one in listed} == {("yes", "ann"), ("no", "ann")}


def test_of_several_files_with_a_bad_one_none_is_taken(folder, tmp_path):
    questions = tmp_path / "q.csv"
    printed("ask", folder, "--answers", 10, "-o", questions)
    good = filled(questions, tmp_path / "good.csv")
    cut = tmp_path / "cut.csv"
    cut.write_bytes(good.read_bytes()[:-20])
    assert "cut.csv" in refused("answers", folder, good, cut)
    assert log_of(folder).read() == []


def test_a_file_of_another_suffix_is_refused_before_a_set_is_asked(folder, tmp_path):
    for name, options in (("q.txt", ()), ("q.csv", ("--format", "html")), ("q.html", ("--format", "csv"))):
        result = CliRunner().invoke(app, ["ask", str(folder), "-o", str(tmp_path / name), *options])
        assert result.exit_code == 2
        assert "expected a ." in result.output
    assert log_of(folder).question_sets() == []


def test_contradictions_are_named(folder, tmp_path):
    questions = tmp_path / "q.csv"
    printed("ask", folder, "--answers", 10, "-o", questions)
    first = filled(questions, tmp_path / "a.csv")
    second = filled(questions, tmp_path / "b.csv", by="bob")
    second.write_text(second.read_text().replace("yes", "no"))
    out = printed("answers", folder, first, second)
    assert "disputed, the majority counts and a tie as cannot say: 3 (cat in photos/" in out
    assert "10 answers (0 yes, 7 no, 3 cannot say) about different pairs of validation images, by ann, bob" in out


def test_questions_without_photos_and_tasks_of_other_tools(folder, tmp_path):
    printed("ask", folder, "--answers", 3, "--format", "label-studio", "-o", tmp_path / "tasks")
    assert {path.name for path in (tmp_path / "tasks").iterdir()} == {"tasks.json", "labeling_config.xml"}
    assert "no results of a study" in refused("ask", tmp_path / "data")


def test_what_is_answered_on_a_served_page_is_in_the_log_at_once(folder, tmp_path):
    printed("ask", folder, "--answers", 2, "-o", tmp_path / "q.csv")
    log = log_of(folder)
    (asked,) = log.question_sets()
    pictures = {question.image: b"jpeg" for question in asked.questions}

    def page(reply_to):
        return question_page(asked, pictures, answers=log.read(), reply_to=reply_to)

    with served_questions(asked, page, log.append) as (address, complete):
        for question in asked.questions:
            said = Answer(
                image=question.image,
                class_name=question.class_name,
                answer="yes",
                by="ann",
                at="2026-01-01T00:00:00+00:00",
                set_number=1,
            )
            body = json.dumps([said.model_dump(mode="json")]).encode()
            headers = {"Content-Type": "application/json"}
            urllib.request.urlopen(urllib.request.Request(f"{address}answers", body, headers)).close()
            assert log.read()[-1] == said
        assert isinstance(complete, threading.Event)
        assert complete.is_set()


def test_an_audit_does_not_take_answers_about_validation_images(folder, tmp_path):
    questions, new = tmp_path / "q.csv", tmp_path / "new.csv"
    printed("ask", folder, "--answers", 4, "-o", questions)
    said = refused("audit", folder, "--apply", filled(questions, tmp_path / "a.csv"), "-o", new)
    assert "these answer questions of `ask`" in said
    assert not new.exists()
    assert log_of(folder).read() == [], "nothing is taken"


def test_a_set_of_an_audit_is_told_from_one_about_validation_images(folder, tmp_path):
    printed("ask", folder, "--answers", 4, "-o", tmp_path / "q.csv")
    log = log_of(folder)
    [asked] = log.question_sets()
    log.add_set(asked.model_copy(update={"number": 2, "kind": "audit"}))
    lines = printed("answers", folder).splitlines()
    assert lines[:2] == ["set 1: 0 of 4 questions answered", "set 2 (audit): 0 of 4 questions answered"]


def test_a_page_of_an_audit_has_the_name_of_a_page_or_a_table(folder, tmp_path):
    done = CliRunner().invoke(app, ["audit", str(folder), "--page", str(tmp_path / "page.txt")])
    assert done.exit_code == 2
    assert not (tmp_path / "page.txt").exists()
