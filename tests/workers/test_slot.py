"""A slot with real workers and a real mailbox in one process: what it reports of its trials, and what it survives."""

from __future__ import annotations

import socket

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from tests.training.head_trials import NUM_EPOCHS as NUM_HEAD_EPOCHS
from tests.training.head_trials import config_of, write_features
from tests.workers.in_process import JOIN_S, NUM_EPOCHS, Bench, Tiny, config_with
from wsml_study.errors import TrainingError
from wsml_study.record.label_tables import DISTRUSTED
from wsml_study.record.resample_files import read_resamples
from wsml_study.record.score_files import read_scores
from wsml_study.training.trial import TrialTraining
from wsml_study.training.trial_data import open_trial_data
from wsml_study.workers.checkpoint_files import STATE_FILE
from wsml_study.workers.loop import open_trial
from wsml_study.workers.protocol import Assignment, BestSoFar, StepReport

OUT_OF_MEMORY = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nmore")


@pytest.fixture
def bench(tmp_path):
    """Makes benches whose slots are closed in the end."""
    made = []

    def make(open_trial=None, **settings):
        made.append(Bench(tmp_path, open_trial or Tiny(), **settings))
        return made[-1]

    yield make
    for one in made:
        one.slot.close()
        for group in one.groups:
            group.join(JOIN_S)
            assert group.has_ended


def assigned(seed, **details):
    return Assignment(trial=seed, config=config_with(seed), **details)


def run_to_the_end(slot) -> list[StepReport]:
    reports = [slot.step()]
    while not reports[-1].done:
        reports.append(slot.step())
    return reports


def saved_after(slot, num_epochs, folder):
    for _ in range(num_epochs):
        slot.step()
    folder.mkdir(parents=True)
    slot.save(folder)
    return str(folder)


@pytest.mark.parametrize("num_ranks", [1, 2])
def test_one_group_runs_trial_after_trial_epoch_by_epoch(bench, num_ranks):
    tiny = Tiny()
    one = bench(tiny, num_ranks=num_ranks)
    for seed in (2, 5):
        one.slot.take(assigned(seed))
        reports = run_to_the_end(one.slot)
        assert [report.epoch for report in reports] == [1, 2, 3]
        assert [report.value for report in reports] == [10.0 * seed + epoch for epoch in (1, 2, 3)]
        assert [report.complete for report in reports] == [False, False, True]
        assert {report.host for report in reports} == {socket.gethostname()}
        assert all(report.notice is report.error is report.out_of_memory is report.test is None for report in reports)
    assert len(one.groups) == 1
    one.slot.close()  # rank 0 answers for all: the other may be an epoch behind until the group has ended
    opened = [(trial.config.training.seed, trial.peers.rank) for trial in tiny.opened]
    assert sorted(opened) == [(seed, rank) for seed in (2, 5) for rank in range(num_ranks)]


def test_a_trial_that_diverges_fails_and_its_group_runs_the_next(bench):
    one = bench(Tiny({1: TrainingError("the loss is nan")}))
    one.slot.take(assigned(1))
    assert run_to_the_end(one.slot)[1:] == [StepReport(error="the loss is nan")]
    one.slot.take(assigned(2))
    assert len(run_to_the_end(one.slot)) == NUM_EPOCHS
    assert len(one.groups) == 1


def test_out_of_memory_costs_the_group_and_the_next_trial_gets_a_new_one(bench):
    one = bench(Tiny({1: OUT_OF_MEMORY}))
    one.slot.take(assigned(1))
    advice = "lower training.batch_size or data.image_size"
    error = f"out of memory: CUDA out of memory. Tried to allocate 2.00 GiB.; {advice}"
    assert run_to_the_end(one.slot)[1:] == [StepReport(out_of_memory=error)]
    one.slot.take(assigned(2))
    assert run_to_the_end(one.slot)[-1].value == 23.0
    assert [group.has_ended for group in one.groups] == [True, False]


@pytest.mark.parametrize("error", [OUT_OF_MEMORY, MemoryError(), RuntimeError("[enforce fail] DefaultCPUAllocator: x")])
def test_out_of_memory_with_nothing_beside_it_is_the_trials_failure(bench, error):
    one = bench(Tiny({1: error}), exclusive=True)
    one.slot.take(assigned(1))
    last = run_to_the_end(one.slot)[-1]
    assert last.error.startswith("out of memory with no other trial on the machine: ")
    assert last.out_of_memory is None


def test_a_worker_that_ray_killed_for_memory_ran_out_of_memory(bench):
    one = bench(Tiny({1: ValueError("node running low on memory")}))
    one.slot.take(assigned(1))
    assert "its machine ran low on memory" in run_to_the_end(one.slot)[-1].out_of_memory


def test_a_crash_of_the_group_raises(bench):
    one = bench(Tiny({1: ValueError("boom")}))
    one.slot.take(assigned(1))
    one.slot.step()
    with pytest.raises(RuntimeError, match="the worker group stopped: ValueError: boom"):
        one.slot.step()


def test_a_trial_goes_on_from_its_checkpoint(bench, tmp_path):
    first = bench().slot
    first.take(assigned(4))
    folder = saved_after(first, 2, tmp_path / "saved")
    retried = bench().slot  # as Tune does it: the assignment anew, then the state
    retried.take(assigned(4))
    retried.load(folder)
    resumed = bench().slot  # as the next run of the study does it
    resumed.take(assigned(4, checkpoint=folder))
    for slot in (retried, resumed):
        assert [(report.epoch, report.value, report.notice) for report in run_to_the_end(slot)] == [(3, 43.0, None)]


def test_a_trial_of_a_moved_study_goes_on_from_its_checkpoint(bench, tmp_path):
    slot = bench().slot
    slot.take(assigned(4))
    saved_after(slot, 2, tmp_path / "run_0001" / "trial_00004_a" / "checkpoint_000001")
    moved = bench().slot
    moved.take(assigned(4, checkpoint="/elsewhere/results/told/ray/run_0001/trial_00004_a/checkpoint_000001"))
    assert [(report.epoch, report.notice) for report in run_to_the_end(moved)] == [(3, None)]


@pytest.mark.parametrize("damage", [lambda file: file.write_bytes(b"torn"), lambda file: file.unlink()])
def test_a_damaged_checkpoint_is_dropped_and_said_so_once(bench, tmp_path, damage):
    slot = bench().slot
    slot.take(assigned(4))
    folder = saved_after(slot, 2, tmp_path / "saved")
    damage(tmp_path / "saved" / STATE_FILE)
    slot.take(assigned(4, checkpoint=folder))
    reports = run_to_the_end(slot)
    assert [report.epoch for report in reports] == [1, 2, 3]
    notice = f"its checkpoint {folder} is gone or damaged and is dropped; the trial starts anew"
    assert [report.notice for report in reports] == [notice, None, None]


def test_a_trial_takes_over_anothers_state_and_keeps_its_own_best_epoch(bench, tmp_path):
    slot = bench().slot
    slot.take(assigned(5))
    folder = saved_after(slot, 2, tmp_path / "saved")
    slot.take(assigned(1, checkpoint=folder, best_before=BestSoFar(objective=60.0, val_map=60.0, epoch=2)))
    (report,) = run_to_the_end(slot)
    assert (report.epoch, report.result["val_map"]) == (3, 13.0)
    assert (report.value, report.result["best_epoch"]) == (60.0, 2)


def test_after_a_takeover_a_retried_trial_loads_its_own_state(bench, tmp_path):
    slot = bench().slot
    slot.take(assigned(5))
    others = saved_after(slot, 1, tmp_path / "others")
    takeover = assigned(1, checkpoint=others, best_before=BestSoFar(objective=11.0, val_map=11.0, epoch=1))
    slot.take(takeover)
    own = saved_after(slot, 1, tmp_path / "own")
    slot.take(takeover)
    slot.load(own)
    assert [(report.epoch, report.value) for report in run_to_the_end(slot)] == [(3, 13.0)]


def test_the_best_epoch_is_tested_after_the_last_one(bench):
    slot = bench(tested=True).slot
    slot.take(assigned(4))
    assert [report.test for report in run_to_the_end(slot)] == [None, None, {"test_map": 42.0, "best_epoch": 3}]


def test_checkpoints_are_due_by_epochs_or_by_time(bench, tmp_path):
    def due(**settings):
        slot = bench(**settings).slot
        slot.take(assigned(0))
        found = []
        for _ in range(NUM_EPOCHS):
            slot.step()
            found.append(slot.checkpoint_is_due)
        return found

    assert due() == [False, False, False]
    assert due(checkpoint_interval_s=0.0) == [True, True, True]
    assert due(checkpoint_interval_epochs=2) == [False, True, False]


def test_saving_starts_the_interval_anew(bench, tmp_path):
    slot = bench(checkpoint_interval_s=0.5).slot
    slot.take(assigned(0))
    slot.step()
    slot._saved_at -= 1.0
    assert slot.checkpoint_is_due
    slot.save(tmp_path)
    assert not slot.checkpoint_is_due


def test_epochs_of_a_batch_are_reported_one_per_step_and_saved_as_of_then(bench, tmp_path):
    given = write_features(tmp_path)
    first, second = (config_of(given, "AN", seed=seed) for seed in (0, 1))
    slot = bench(open_trial).slot
    slot.take(Assignment(trial=0, config=first, companions=(second,)))
    assert len(run_to_the_end(slot)) == NUM_HEAD_EPOCHS
    slot.take(Assignment(trial=1, config=second))
    folder = saved_after(slot, 1, tmp_path / "saved")
    ahead = run_to_the_end(slot)
    assert [report.epoch for report in ahead] == list(range(2, NUM_HEAD_EPOCHS + 1))
    # The batch of its companions has left this epoch behind, so it goes on without them.
    slot.take(Assignment(trial=1, config=second, companions=(first,), checkpoint=folder))
    resumed = run_to_the_end(slot)
    assert [report.epoch for report in resumed] == [report.epoch for report in ahead]
    losses = [[report.result["train_loss"] for report in reports] for reports in (resumed, ahead)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_closing_ends_the_workers(bench):
    one = bench(num_ranks=2)
    one.slot.take(assigned(0))
    one.slot.step()
    one.slot.close()
    one.groups[0].join(JOIN_S)
    assert one.groups[0].has_ended


@pytest.mark.parametrize("together", [False, True])
def test_what_a_trial_has_corrected_for_good_is_kept_after_its_last_epoch(bench, tmp_path, together):
    data = write_features(tmp_path)
    configs = [config_of(data, case, seed=1) for case in ("LL-Cp", "LL-R")]
    slot = bench(open_trial).slot
    for number, config in enumerate(configs):
        companions = tuple(configs[1:]) if together and number == 0 else ()
        slot.take(Assignment(trial=number, config=config, companions=companions))
        assert not list((tmp_path / "corrections").glob(f"trial_{number:05d}*"))
        assert run_to_the_end(slot)[-1].complete
    (kept,) = (tmp_path / "corrections").iterdir()
    assert kept.name == "trial_00000.parquet"
    alone = TrialTraining(configs[0], open_trial_data(data))
    for _ in range(NUM_HEAD_EPOCHS):
        alone.run_epoch()
    table = pq.read_table(kept).to_pydict()
    assert table.pop("trial") == [0] * len(table["image"])
    assert table == alone.corrections()


@pytest.mark.parametrize("together", [False, True])
def test_how_often_a_trial_distrusted_labels_is_kept_after_its_last_epoch(bench, tmp_path, together):
    data = write_features(tmp_path)
    configs = [config_of(data, case, seed=1) for case in ("LL-R", "AN")]
    slot = bench(open_trial).slot
    for number, config in enumerate(configs):
        companions = tuple(configs[1:]) if together and number == 0 else ()
        slot.take(Assignment(trial=number, config=config, companions=companions))
        assert run_to_the_end(slot)[-1].complete
    assert DISTRUSTED.trials(tmp_path) == [0]
    alone = TrialTraining(configs[0], open_trial_data(data))
    for _ in range(NUM_HEAD_EPOCHS):
        alone.run_epoch()
    assert DISTRUSTED.read(tmp_path, 0).drop(["trial"]).to_pydict() == alone.distrusted_labels()


def test_distrusted_labels_that_cannot_be_written_cost_a_notice_and_not_the_trial(bench, tmp_path):
    (tmp_path / "distrusted").write_text("a file where the folder should be")
    slot = bench(open_trial).slot
    slot.take(Assignment(trial=0, config=config_of(write_features(tmp_path), "LL-R")))
    last = run_to_the_end(slot)[-1]
    assert last.complete
    assert last.notice.startswith("`audit` will not weigh which labels it distrusted, since these are not kept: ")


def test_corrections_that_cannot_be_written_cost_a_notice_and_not_the_trial(bench, tmp_path):
    (tmp_path / "corrections").write_text("a file where the folder should be")
    slot = bench(open_trial).slot
    slot.take(Assignment(trial=0, config=config_of(write_features(tmp_path), "LL-Cp")))
    last = run_to_the_end(slot)[-1]
    assert last.complete
    assert last.notice.startswith("the labels that it corrected are not kept: ")


def test_epochs_that_were_reported_before_a_pause_are_run_again_in_silence(bench):
    one = bench()
    one.slot.take(assigned(2, known_until=2))
    reports = run_to_the_end(one.slot)
    assert [report.epoch for report in reports] == [3]
    assert reports[0].value == 23.0


def test_a_paused_trial_of_a_batch_goes_on_in_another_batch_with_the_same_numbers(bench, tmp_path):
    data = write_features(tmp_path)
    first, second, third = (config_of(data, "LL-Cp", seed=seed) for seed in (0, 1, 2))
    slot = bench(open_trial).slot
    slot.take(Assignment(trial=0, config=first, companions=(second,)))
    whole = run_to_the_end(slot)
    slot = bench(open_trial).slot
    slot.take(Assignment(trial=0, config=first, companions=(second,)))
    before = [slot.step(), slot.step()]
    slot.take(Assignment(trial=1, config=second))
    run_to_the_end(slot)
    slot.take(Assignment(trial=0, config=first, companions=(third,), known_until=2))
    reports = before + run_to_the_end(slot)
    assert [report.epoch for report in reports] == list(range(1, NUM_HEAD_EPOCHS + 1))
    for name in ("num_distrusted", "val_map", "train_loss"):
        numbers = [[report.result[name] for report in some] for some in (reports, whole)]
        assert numbers[0] == numbers[1], name


def test_a_tested_trial_leaves_its_precision_in_resamples_of_the_test_images(bench, tmp_path):
    slot = bench(open_trial, tested=True, resamples_folder=str(tmp_path / "test_resamples")).slot
    slot.take(Assignment(trial=3, config=config_of(write_features(tmp_path), "AN")))
    last = run_to_the_end(slot)[-1]
    kept_RC = read_resamples(tmp_path, 3)
    assert kept_RC.shape == (500, len(last.test["classes"]))
    mean = np.nanmean(kept_RC, axis=0)
    assert np.abs(mean - np.array(last.test["test_ap_C"], float)).max() < 12, "AP of few images, a little raised"


def judged_by_partial_labels(folder):
    given = write_features(folder)
    return given.model_copy(update={"validation": given.validation.model_copy(update={"labels": "known"})})


def scores_after_each_epoch(slot, folder, trial):
    """Whatever is kept after each of a trial's epochs, with the epoch that it should be of."""
    found = []
    while not found or not found[-1][0].complete:
        report = slot.step()
        found.append((report, read_scores(folder, trial)))
    return found


def logits_alone(config, epoch):
    trial = TrialTraining(config, open_trial_data(config.data))
    for _ in range(epoch):
        trial.run_epoch()
    return trial.evaluation.scores("validation").numpy()


@pytest.mark.parametrize("together", [False, True])
def test_the_best_epochs_validation_scores_are_kept_before_each_epoch_is_reported(bench, tmp_path, together):
    data = judged_by_partial_labels(tmp_path)
    configs = [config_of(data, "AN", seed=seed, learning_rate=0.1) for seed in (2, 3)]
    slot = bench(open_trial, scores_folder=str(tmp_path / "validation_scores")).slot
    for number, config in enumerate(configs):
        companions = tuple(configs[1:]) if together and number == 0 else ()
        slot.take(Assignment(trial=number, config=config, companions=companions))
        best = []
        for report, scores in scores_after_each_epoch(slot, tmp_path, number):
            assert scores.epoch == report.result["best_epoch"]
            assert scores.images == open_trial_data(data).validation_images
            expected_MC = logits_alone(config, scores.epoch)
            np.testing.assert_allclose(scores.logits_MC, expected_MC, rtol=2e-3, atol=1e-3)
            best.append(scores.epoch)
        assert best == ([1, 2, 3, 4], [1, 2, 2, 2])[number]


def test_a_trial_that_goes_on_from_its_checkpoint_has_its_best_epochs_scores(bench, tmp_path):
    config = config_of(judged_by_partial_labels(tmp_path), "AN", seed=1, learning_rate=0.3)
    folder = tmp_path / "validation_scores"
    slot = bench(open_trial, scores_folder=str(folder)).slot
    slot.take(Assignment(trial=0, config=config))
    saved = saved_after(slot, NUM_HEAD_EPOCHS - 1, tmp_path / "saved")
    run_to_the_end(slot)
    whole = read_scores(tmp_path, 0)
    (folder / "trial_00000.npz").unlink()
    slot.take(Assignment(trial=0, config=config, checkpoint=saved))
    run_to_the_end(slot)
    resumed = read_scores(tmp_path, 0)
    assert resumed.epoch == whole.epoch
    np.testing.assert_array_equal(resumed.logits_MC, whole.logits_MC)


def test_after_a_takeover_the_scores_of_the_trials_own_best_epoch_stay(bench, tmp_path):
    data = judged_by_partial_labels(tmp_path)
    own, other = (config_of(data, "AN", seed=1, learning_rate=rate) for rate in (3e-3, 4e-3))
    folder = tmp_path / "validation_scores"
    slot = bench(open_trial, scores_folder=str(folder)).slot
    slot.take(Assignment(trial=1, config=other))
    saved = saved_after(slot, 2, tmp_path / "saved")
    slot.take(Assignment(trial=0, config=own))
    slot.step()
    before = (folder / "trial_00000.npz").read_bytes()
    best = BestSoFar(objective=101.0, val_map=101.0, epoch=1)
    slot.take(Assignment(trial=0, config=own, checkpoint=saved, best_before=best))
    assert run_to_the_end(slot)[-1].result["best_epoch"] == 1
    assert (folder / "trial_00000.npz").read_bytes() == before


def test_complete_labels_leave_no_scores_and_an_unwritable_folder_costs_a_notice(bench, tmp_path):
    folder = tmp_path / "validation_scores"
    slot = bench(open_trial, scores_folder=str(folder)).slot
    data = judged_by_partial_labels(tmp_path)
    slot.take(Assignment(trial=0, config=config_of(write_features(tmp_path), "AN")))
    run_to_the_end(slot)
    assert not folder.exists()
    folder.write_text("a file where the folder should be")
    slot.take(Assignment(trial=1, config=config_of(data, "AN")))
    assert slot.step().notice.startswith("answers of people will not count for it, since its scores are not kept: ")
