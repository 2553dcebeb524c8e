"""Commands that ask a study's results, from their options to what they print."""

import json
import re

import pandas as pd
import pytest
from typer.testing import CliRunner

from tests.sample_studies.stories import small_study, told_events, told_history
from tests.sample_studies.synthetic import write_folder
from wsml_study.cli.entry import app
from wsml_study.errors import ResultsError
from wsml_study.record.tables import write_tables
from wsml_study.study.writing import dump_config


@pytest.fixture
def folder(tmp_path):
    study, path = small_study(), tmp_path / "results" / "told"
    path.mkdir(parents=True)
    (path / "study.yaml").write_text(dump_config(study))
    write_tables(path, study, told_history(study))
    (path / "events.jsonl").write_text(json.dumps({"event": "run", "time": 1.0, "classes": ["cat"]}) + "\n")
    return path


def printed(*arguments) -> str:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_a_condition_that_no_trial_meets_is_told(folder):
    assert "None of the 4 trials meets --where" in printed("results", folder, "--where", "host == 'b'")


def test_results_shows_the_chosen_trials_and_what_is_sure(folder):
    lines = printed("results", folder, "--where", "method == 'AN'", "--sort", "trial").splitlines()
    assert [line.split()[1] for line in lines[1:3]] == ["0", "3"]
    assert lines[-1] == f"  wsml-study confirm {folder}"
    assert printed("results", folder, "--per", "method", "--top", "1").splitlines()[1].split()[1] == "1"


def test_results_are_handed_on_in_a_format(folder, tmp_path):
    rows = json.loads(printed("results", folder, "--format", "json", "--top", "2"))
    assert [row["trial"] for row in rows] == [1, 0]
    file = tmp_path / "trials.parquet"
    assert printed("results", folder, "-o", file).strip() == str(file)
    assert pd.read_parquet(file)["rank"].tolist() == [1, 2, 3, 4]
    with pytest.raises(ResultsError, match="exists and differs"):
        printed("results", folder, "-o", file, "--top", "1")


def test_results_for_a_paper_have_the_columns_that_people_see(folder, tmp_path):
    file = tmp_path / "table.tex"
    printed("results", folder, "--where", "method != 'LL-R'", "-o", file)
    assert file.read_text().splitlines() == [
        r"\begin{tabular}{rrllrrrl}",
        r"\toprule",
        r"rank & trial & method & rate\_per\_epoch & val mAP & best epoch & epochs & state \\",
        r"\midrule",
        r"2 & 0 & AN & - & 60.00 & 1 & 2 & complete \\",
        r"3 & 3 & AN & - & 52.00 & 1 & 1 & interrupted \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]
    lines = printed("results", folder, "--format", "markdown", "--top", "1").splitlines()
    assert lines[2] == "| 1 | 1 | LL-R | 0.01 | 70.00 | 2 | 2 | stopped |"


def test_a_query_prints_a_table_or_csv(folder):
    sql = "SELECT method, count(*) AS num_trials FROM trials GROUP BY ALL ORDER BY method"
    assert printed("query", folder, sql).splitlines() == ["method  num_trials", "AN      2", "LL-R    2"]
    assert printed("query", folder, sql, "--format", "csv").splitlines()[1] == '"AN",2'


def test_compare_says_whether_studies_can_be_compared(folder):
    assert "the same study file" in printed("compare", folder, folder)


def test_a_report_is_written_beside_the_tables_or_where_one_says(folder, tmp_path):
    write_folder(folder, small_study(), told_events(small_study()))
    lines = printed("report", folder, "--figures", tmp_path / "figures").splitlines()
    assert re.fullmatch(rf"wrote {re.escape(str(folder))}/report\.html: \d figures, \d\.\d\d MB", lines[0])
    assert "left out confirmed: Nothing is confirmed yet" in lines[1]
    drawn = [line.removeprefix("wrote ") for line in lines if line.endswith(".svg")]
    assert sorted(drawn) == sorted(str(path) for path in (tmp_path / "figures").iterdir())
    assert printed("report", folder, "-o", tmp_path / "mine.html").startswith(f"wrote {tmp_path / 'mine.html'}: ")
