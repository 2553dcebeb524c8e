"""Optimizers that are torch's own, in processes that import no compiler."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

from wsml_study.study.training_section import Training
from wsml_study.training.optimizers import optimizer_of

ONE_EPOCH = """\
import sys
import torch
from wsml_study.study.reading import parse_study
from wsml_study.study.search_space import SearchSpace
from wsml_study.methods.contract import ALONE
from wsml_study.workers.loop import open_trial

study = parse_study(
    {
        "name": "one",
        "data": {"dataset": "digit_scenes"},
        "method": {"name": "LL-R", "schedule": {"rate_per_epoch": 0.01}},
        "training": {"epochs": 1, "batch_size": 512, "learning_rate": 1e-3, "optimizer": sys.argv[1]},
    },
    source="test",
)
config = SearchSpace.from_study(study).resolve(study, {})
trial = open_trial(config, device=torch.device("cpu"), peers=ALONE, keep_best=True)
assert trial.run_epoch().val_map > 0
trial.load_state_dict(trial.state_dict())
print([name for name in ("torchvision", "torch._dynamo", "sympy") if name in sys.modules])
"""


@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_a_worker_imports_neither_the_compiler_nor_torchvision(name):
    done = subprocess.run(
        [sys.executable, "-c", ONE_EPOCH, name], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_steps_and_states_are_those_of_torch(name):
    torch.manual_seed(0)
    training = Training(epochs=1, batch_size=2, learning_rate=0.1, optimizer=name, weight_decay=0.01)
    ours, theirs = nn.Linear(5, 3), nn.Linear(5, 3)
    theirs.load_state_dict(ours.state_dict())
    mine = optimizer_of(training, [{"params": [ours.weight], "lr": 0.1}, {"params": [ours.bias], "lr": 0.5}])
    groups = [{"params": [theirs.weight], "lr": 0.1}, {"params": [theirs.bias], "lr": 0.5}]
    published = (
        torch.optim.Adam(groups, weight_decay=0.01, fused=True)
        if name == "adam"
        else torch.optim.SGD(groups, weight_decay=0.01, momentum=0.9, fused=True)
    )
    for _ in range(4):
        inputs = torch.randn(7, 5)
        for network, optimizer in ((ours, mine), (theirs, published)):
            optimizer.zero_grad()
            network(inputs).square().sum().backward()
            optimizer.step()
    assert torch.equal(ours.weight, theirs.weight)
    assert torch.equal(ours.bias, theirs.bias)
    saved, as_published = mine.state_dict(), published.state_dict()
    assert saved.keys() == as_published.keys()
    for key, state in as_published["state"].items():
        for part, value in state.items():
            assert torch.equal(torch.as_tensor(saved["state"][key][part]), torch.as_tensor(value)), (key, part)
