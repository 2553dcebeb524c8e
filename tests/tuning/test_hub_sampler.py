"""Samplers of OptunaHub from a folder: what every sampler promises, the record of the content, and what goes wrong."""

import shutil
from pathlib import Path

import pytest

from wsml_study.errors import PluginError, StudyFileError
from wsml_study.record.storage import open_storage
from wsml_study.record.study_folder import claim, settled
from wsml_study.study.identity import fingerprint
from wsml_study.study.sampler_folder import content_digest
from wsml_study.testing.promises import promise_in_words
from wsml_study.testing.sampler_contract import SAMPLER_CONTRACT, SamplerCase, study_with
from wsml_study.tuning.optuna_study import sampler_of

pytest.importorskip("optunahub")

PACKAGE = Path(__file__).parent / "hub_package"
OPTIONS = {"folder": str(PACKAGE), "class": "TowardsTheBest"}


@pytest.mark.parametrize("promise", SAMPLER_CONTRACT, ids=promise_in_words)
def test_a_sampler_of_a_folder_keeps(promise):
    promise(SamplerCase(name="optunahub", options=OPTIONS))


def test_its_class_gets_the_options_and_the_seed():
    study = study_with("optunahub", OPTIONS | {"options": {"step": 0.25}})
    made = sampler_of(study.sampler, seed=3, several_at_once=False)
    assert type(made).__name__ == "TowardsTheBest"
    assert made._step == 0.25


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"class": "Away"}, "has no sampler Away; it has TowardsTheBest"),
        ({"options": {"pace": 1}}, "cannot be created with .*pace.*; it takes .*step"),
        ({"folder": str(PACKAGE.parent)}, "cannot be imported"),
    ],
)
def test_what_cannot_be_loaded_is_said(wrong, message):
    study = study_with("optunahub", OPTIONS | wrong)
    with pytest.raises(PluginError, match=message):
        sampler_of(study.sampler, seed=3, several_at_once=False)


def test_other_samplers_take_no_options_of_a_class():
    with pytest.raises(StudyFileError, match="sampler tpe takes no `options`"):
        study_with("tpe", {"options": {"step": 1}})


def test_a_study_records_the_content_of_the_folder_and_not_its_place(tmp_path):
    package, moved = tmp_path / "towards", tmp_path / "moved"
    shutil.copytree(PACKAGE, package)
    storage = open_storage(str(tmp_path / "results"), "searched")
    study = settled(storage, study_with("optunahub", OPTIONS | {"folder": str(package)}))
    claim(storage, study)
    assert study.sampler.digest == content_digest(package)
    package.rename(moved)
    again = study_with("optunahub", OPTIONS | {"folder": str(moved)})
    assert fingerprint(settled(storage, again)) == fingerprint(study)
    (moved / "__init__.py").write_text("# another sampler\n")
    with pytest.raises(StudyFileError, match=r"the content of .* has the digest .*, and the study says"):
        settled(
            storage,
            study.model_copy(
                update={"sampler": again.sampler.model_copy(update=dict(study.sampler) | {"folder": str(moved)})}
            ),
        )
    assert fingerprint(settled(storage, again)) != fingerprint(study)


def test_a_folder_without_a_package_is_refused(tmp_path):
    with pytest.raises(StudyFileError, match=r"has no __init__\.py; copy package/samplers/<name>"):
        content_digest(tmp_path)
