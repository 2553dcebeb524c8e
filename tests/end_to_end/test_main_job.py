"""One YAML file in, a trained model out."""

import ipaddress
import json
import time

import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file

from tests.end_to_end.listening import listening
from tests.end_to_end.processes import command_of, descendants

STUDY = """\
name: small
data: {dataset: digit_scenes, train_share: 0.4}
method: {name: LL-R, schedule: {shape: linear, rate_per_epoch: 0.01}}
training: {epochs: 3, batch_size: 64, learning_rate: 2e-3, head_learning_rate_multiplier: 1}
search:
  method.name: {choice: [AN, LL-R, LL-Ct, LL-Cp]}
  method.schedule.rate_per_epoch:
    when: {method.name: [LL-R, LL-Ct, LL-Cp]}
    float: {low: 0.001, high: 0.1, log: true}
sampler: {name: random, seed: 3}
early_stopping: {name: asha, grace_epochs: 1, reduction_factor: 2}
trials: 6
"""


@pytest.mark.timeout(1200)
def test_from_study_file_to_trained_model(cli):
    cli.write("small.yaml", STUDY)
    assert "6 trials" in cli("check", "small.yaml")
    printed = cli("run", "small.yaml")
    assert "6 of 6 trials ended" in printed
    assert "wsml-study export small.yaml --per method -o configs/" in printed
    folder = cli.folder / "results" / "small"
    trials = pq.read_table(folder / "trials.parquet").to_pandas()
    epochs = pq.read_table(folder / "epochs.parquet").to_pandas()
    classes = pq.read_table(folder / "classes.parquet").to_pandas()
    assert trials["trial"].tolist() == [0, 1, 2, 3, 4, 5]
    assert set(trials["state"]) <= {"complete", "stopped"}
    for number, last_epoch in zip(trials["trial"], trials["last_epoch"], strict=True):
        assert epochs[epochs["trial"] == number]["epoch"].tolist() == list(range(1, last_epoch + 1))
        assert len(classes[classes["trial"] == number]) == 10
    assert not (folder / "ray").exists()

    assert {path.name for path in folder.iterdir()} >= {"journal.log", "tensorboard"}
    assert f"wrote {folder / 'report.html'}: " in cli("report", "small.yaml")

    again = cli("run", "small.yaml")
    assert "6 of 6 trials ended" in again
    assert ("starting Ray" in printed, "starting Ray" in again) == (True, False)

    best = trials.sort_values("value").iloc[-1]
    shown = cli("results", "small.yaml", "--top", "1").splitlines()
    assert shown[1].split()[:3] == ["1", str(best["trial"]), best["method"]]

    configs = cli("export", "small.yaml", "--per", "method", "-o", "configs").split()
    assert len(configs) == trials["method"].nunique()
    assert cli("export", "small.yaml", "--per", "method", "-o", "configs").split() == configs
    for config in configs:
        assert "the study is one trial" in cli("check", config)

    printed = cli("train", configs[0], "--seeds", "2")
    assert "standard deviation" in printed
    models = cli.folder / "models" / f"small-{best['method']}-trial{best['trial']}"
    for seed in (0, 1):
        model = models / f"seed_{seed}"
        metrics = json.loads((model / "metrics.json").read_text())
        assert 0 < metrics["test_map"] < 100
        assert list(metrics["test_ap"]) == json.loads((model / "classes.json").read_text())
        assert load_file(model / "model.safetensors")["network.head.weight"].shape == (10, 128)
    assert "the study is one trial" in cli("check", models / "seed_0" / "config.yaml")


@pytest.mark.timeout(900)
def test_a_study_is_extended_refused_when_changed_and_set_aside(cli):
    small = STUDY.replace("epochs: 3", "epochs: 1").replace(
        "{name: asha, grace_epochs: 1, reduction_factor: 2}", "{name: none}"
    )
    cli.write("small.yaml", small)
    assert "2 of 2 trials ended" in cli("run", "small.yaml", "--trials", "2")
    before = pq.read_table(cli.folder / "results/small/epochs.parquet")
    assert "3 of 3 trials ended" in cli("run", "small.yaml", "--trials", "3")
    after = pq.read_table(cli.folder / "results/small/epochs.parquet")
    assert after.slice(0, 2) == before
    assert after["trial"].to_pylist() == [0, 1, 2]

    cli.write("small.yaml", small.replace("batch_size: 64", "batch_size: 32"))
    refused = cli("run", "small.yaml", status=1)
    assert "training.batch_size: 64 -> 32" in refused
    assert "--restart" in refused
    assert "1 of 1 trials ended" in cli("run", "small.yaml", "--trials", "1", "--restart")
    assert pq.read_table(cli.folder / "results/small.1/epochs.parquet") == after
    assert pq.read_table(cli.folder / "results/small/trials.parquet")["trial"].to_pylist() == [0]


@pytest.mark.timeout(600)
def test_two_workers_share_a_trial_and_listen_on_loopback_alone(cli):
    """One trial on one worker, and the same on two: the same curve up to the order of additions."""
    one = STUDY[: STUDY.index("search:")].replace("epochs: 3", "epochs: 4") + "resources: {workers_per_trial: 1}\n"
    cli.write("one.yaml", one.replace("small", "one", 1))
    cli.write("two.yaml", one.replace("small", "two", 1).replace("workers_per_trial: 1", "workers_per_trial: 2"))
    cli("run", "one.yaml")
    process = cli.start("run", "two.yaml")
    events = cli.folder / "results/two/events.jsonl"
    while not events.exists() or '"event": "epoch"' not in events.read_text():
        time.sleep(0.05)
        assert process.poll() is None, process.communicate()[0]
    started = [command_of(pid) for pid in descendants(process.pid)]
    needless = (b"dashboard.py", b"monitor.py", b"TrainController")
    assert [command for command in started if any(name in command for name in needless)] == []
    found = listening([process.pid, *descendants(process.pid)])
    assert any("RayTrainWorker" in command for command, _ in found), "gloo and the store of the process group"
    assert any("raylet" in command for command, _ in found)
    assert [entry for entry in found if not ipaddress.ip_address(entry[1]).is_loopback] == []
    printed, _ = process.communicate(timeout=400)
    assert process.returncode == 0, printed

    first = pq.read_table(cli.folder / "results/one/epochs.parquet").to_pandas()
    second = pq.read_table(cli.folder / "results/two/epochs.parquet").to_pandas()
    assert first["num_distrusted"].tolist() == second["num_distrusted"].tolist()
    assert first["train_loss"].tolist() == pytest.approx(second["train_loss"].tolist(), rel=1e-3)
    assert first["val_map"].tolist() == pytest.approx(second["val_map"].tolist(), abs=0.5)
