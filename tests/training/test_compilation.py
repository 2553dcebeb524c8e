"""Compiled training: the numbers of plain training, compiled once, and checkpoints that go both ways."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn

from tests.training.bit_for_bit import through_a_file
from tests.training.striped_trials import config_of, small_data
from wsml_study.errors import TrainingError
from wsml_study.methods.contract import Batch, Peers
from wsml_study.methods.creation import create_method
from wsml_study.methods.schedules import schedule
from wsml_study.study.method_section import MethodName
from wsml_study.training.trial import TrialTraining

NUM_IMAGES = 72  # four batches of 16, which are compiled, and one of 8, which is not


@pytest.fixture(scope="module", autouse=True)
def _no_vector_instructions() -> Iterator[None]:
    """To find out which ones a CPU has takes torch's compiler half a minute in each process."""
    from torch._inductor import cpu_vec_isa  # imports the compiler

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(cpu_vec_isa, "supported_vec_isa_list", [])
        cpu_vec_isa.valid_vec_isa_list.cache_clear()
        yield
    cpu_vec_isa.valid_vec_isa_list.cache_clear()


def num_graphs() -> int:
    """What this process has compiled or read from the cache so far."""
    from torch._dynamo.utils import counters

    return int(counters["stats"]["unique_graphs"])


def trial_of(name: MethodName = MethodName.LL_R, **training: Any) -> TrialTraining:
    return TrialTraining(config_of(name, **training), small_data(NUM_IMAGES))


def losses(trial: TrialTraining, epochs: int) -> list[float]:
    return [trial.run_epoch().train_loss for _ in range(epochs)]


def test_a_large_loss_is_compiled_once_for_all_rates() -> None:
    from wsml_study.training.compilation import Compiler

    labels_NC = torch.zeros(8, 6, dtype=torch.int8)
    labels_NC[:, 0] = 1
    plain, compiled = (
        create_method("LL-R", labels_NC=labels_NC, schedule=schedule("linear", rate_per_epoch=0.1)) for _ in range(2)
    )
    compiled.compile_loss(Compiler("a loss").compiled, 6)
    before, distrusted = num_graphs(), []
    for epoch in range(1, 7):
        for num_images in (8, 8, 5):
            results = []
            for method in (plain, compiled):
                logits_BC = torch.randn(num_images, 6, generator=torch.Generator().manual_seed(epoch)).requires_grad_()
                outcome = method(
                    Batch(
                        logits_BC=logits_BC,
                        labels_BC=labels_NC[:num_images],
                        indices_B=torch.arange(num_images),
                        epoch=epoch,
                        epochs=6,
                        num_images=num_images,
                    )
                )
                outcome.loss.backward()
                results.append((outcome.loss.detach(), outcome.distrusted_BC, logits_BC.grad))
            torch.testing.assert_close(results[1], results[0])
        distrusted.append(int(results[1][1].sum()))
    assert distrusted == [0, 3, 6, 9, 12, 15]
    assert num_graphs() == before + 1


@pytest.mark.slow
def test_losses_are_those_of_plain_training_and_nothing_is_compiled_anew() -> None:
    plain, compiled = trial_of(), trial_of(compile=True)
    before, expected = num_graphs(), losses(plain, 4)
    assert losses(compiled, 1) == pytest.approx(expected[:1], abs=1e-3)
    assert num_graphs() == before + 2  # the network and the loss
    assert losses(compiled, 3) == pytest.approx(expected[1:], abs=1e-3)
    other = {"seed": 1, "learning_rate": 0.02}
    assert losses(trial_of(compile=True, **other), 2) == pytest.approx(losses(trial_of(**other), 2), abs=1e-3)
    assert num_graphs() == before + 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "training"),
    [
        (MethodName.AN, {"dropout": 0.3}),
        (MethodName.LL_CP, {"accumulate": 2, "ema_decay": 0.8, "temperature": 2.0}),
        (MethodName.LL_CT, {"mixup": "mixup", "precision": "bf16"}),
        (MethodName("PLC"), {"cutout": 0.3}),
    ],
)
def test_recipes_and_methods_are_those_of_plain_training(name: MethodName, training: dict[str, Any]) -> None:
    """The same masks of dropout and the same mixtures among them."""
    expected = losses(trial_of(name, **training), 2)
    assert losses(trial_of(name, compile=True, **training), 2) == pytest.approx(expected, abs=1e-3)


@pytest.mark.slow
def test_random_numbers_of_a_network_are_those_of_plain_torch() -> None:
    from wsml_study.training.compilation import CompiledNetwork, Compiler

    network, inputs = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5)), torch.randn(16, 4)
    compiled = CompiledNetwork(network, Compiler("dropout"), cuda_graphs=False)
    outputs = []
    for module in (network, compiled):
        torch.manual_seed(0)
        outputs.append([module(inputs) for _ in range(2)])
    torch.testing.assert_close(outputs[1], outputs[0])


@pytest.mark.slow
@pytest.mark.parametrize("first", [True, False])
def test_checkpoints_go_from_compiled_to_plain_training_and_back(first: bool) -> None:
    whole = losses(trial_of(), 3)
    before, after = trial_of(compile=first), trial_of(compile=not first)
    before.run_epoch()
    state = through_a_file(before.state_dict())
    assert not any("_orig_mod" in name or name.startswith("network.network") for name in state["classifier"])
    after.load_state_dict(state)
    assert losses(after, 2) == pytest.approx(whole[1:], abs=1e-3)


@pytest.mark.slow
def test_a_compiled_trial_that_is_resumed_goes_on_to_the_last_bit() -> None:
    whole, first, second = (trial_of(compile=True) for _ in range(3))
    expected = losses(whole, 3)
    first.run_epoch()
    second.load_state_dict(through_a_file(first.state_dict()))
    assert losses(second, 2) == expected[1:]


def test_trials_of_several_workers_are_refused() -> None:
    with pytest.raises(TrainingError, match=r"training\.compile needs resources\.workers_per_trial: 1"):
        TrialTraining(config_of(MethodName.AN, compile=True), small_data(), peers=Peers(rank=0, size=2))


WITHOUT_COMPILER = """\
from tests.training.striped_trials import config_of, small_data
from wsml_study.study.method_section import MethodName
from wsml_study.training.trial import TrialTraining

TrialTraining(config_of(MethodName.AN, compile=True), small_data()).run_epoch()
"""


@pytest.mark.slow
def test_a_machine_without_a_compiler_says_what_to_install(tmp_path: Any) -> None:
    environ = os.environ | {"CXX": str(tmp_path / "none"), "TORCHINDUCTOR_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_COMPILER], capture_output=True, text=True, check=False, env=environ
    )
    message = done.stderr.strip().splitlines()[-1]
    assert message.startswith("wsml_study.errors.TrainingError: training.compile: "), done.stderr
    assert message.endswith("install a C++ compiler (`apt install g++`, or set CXX), or leave the key out")


CACHE = """\
import os
from wsml_study.training.compilation import Compiler

Compiler("a network")
print(os.environ["TORCHINDUCTOR_CACHE_DIR"])
"""


@pytest.mark.parametrize(
    ("own", "expected"), [({}, "/cache/compiled"), ({"TORCHINDUCTOR_CACHE_DIR": "/mine"}, "/mine")]
)
def test_the_cache_is_the_machine_s_unless_the_user_says_otherwise(own: dict[str, str], expected: str) -> None:
    environ = {name: value for name, value in os.environ.items() if name != "TORCHINDUCTOR_CACHE_DIR"}
    done = subprocess.run(
        [sys.executable, "-c", CACHE],
        capture_output=True,
        text=True,
        check=True,
        env=environ | {"WSML_CACHE": "/cache"} | own,
    )
    assert done.stdout == f"{expected}\n"
