"""On a GPU: plain and compiled training, pixels in its memory or sent, where the CPU waits, and what selecting costs.

    python benchmarks/gpu.py                                                          ResNet-50 at 448, bf16
    python benchmarks/gpu.py --device cpu --backbone small_cnn --size 32 --images 64  the program itself, without a GPU

In this order:

1. What compiling takes (`training.compile`): in the first trial, with an empty cache, and in the second one, each in a
   process of its own.
2. A step of LL-R on tensors that lie on the device, plain and compiled, and the bare compiled step: the same network
   compiled alike, binary cross-entropy and the optimizer, without labels to select and without metrics.
3. By how much a batch's loss differs between plain and compiled training, at most, over an epoch from the same weights.
4. Compiled training as trials do it, on images that are sent batch by batch, and on images in the device's memory.
5. Plain training against the same steps on tensors that lie on the device, how often the CPU waits for the device, and
   what LL-R's selection costs.

Beside torch and torchvision it needs pydantic and safetensors, and for compiling what `wsml-study check` says. Images
and labels are random, weights too.
`benchmarks/epoch.py --device cuda --backbone resnet50 --size 448` sets the published loop beside these numbers.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.profiler import ProfilerActivity, profile

from wsml_study.methods.contract import Batch, Method
from wsml_study.methods.creation import create_method
from wsml_study.methods.schedules import schedule
from wsml_study.study.reading import parse_study
from wsml_study.study.search_space import SearchSpace
from wsml_study.study.spec import TrialConfig
from wsml_study.training.device_pixels import copied
from wsml_study.training.inputs import ImageInputs, TrialInputs
from wsml_study.training.optimizers import optimizer_of
from wsml_study.training.scoring import uses_bf16
from wsml_study.training.trial import TrialTraining
from wsml_study.training.trial_data import LabelledImages, TrialData

CLASSES = 20
RATE = 0.002
WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize", "cudaMemcpy")
"""Calls in which the CPU waits for the device."""

ROUNDS = 3
"""Epochs of each side that are compared, in turns; the median counts."""

SELECTIONS = ((16, 80), (64, 5000))
REPEATS = 50


def random_data(num_images: int, size: int) -> TrialData:
    """Noise with labels, enough of it that every batch is fetched and sent."""
    draw = np.random.default_rng(0)
    rows = np.arange(num_images)
    truth_MC = np.where(draw.random((num_images, CLASSES)) < 0.1, 1, -1).astype(np.int8)
    truth_MC[rows, rows % CLASSES] = 1
    observed_MC = np.zeros_like(truth_MC)
    observed_MC[rows, rows % CLASSES] = 1
    train = LabelledImages(
        images_NcHW=draw.integers(0, 256, (num_images, 3, size, size), dtype=np.uint8),
        names_N=tuple(map(str, rows)),
        rows_M=rows,
        truth_MC=truth_MC,
        observed_MC=observed_MC,
    )
    few = LabelledImages(
        images_NcHW=train.images_NcHW,
        names_N=train.names_N,
        rows_M=rows[:16],
        truth_MC=truth_MC[:16],
        observed_MC=observed_MC[:16],
    )
    classes = tuple(f"class {number}" for number in range(CLASSES))
    return TrialData(classes=classes, train=train, validation=few, test=few, horizontal_flip=True)


def config_of(backbone: str, batch_size: int) -> TrialConfig:
    study = parse_study(
        {
            "name": "gpu",
            "data": {"dataset": "digit_scenes"},
            "model": {"backbone": backbone},
            "method": {"name": "LL-R", "schedule": {"rate_per_epoch": RATE}},
            "training": {"epochs": 10, "batch_size": batch_size, "learning_rate": 1e-5},
        },
        source="gpu",
    )
    return SearchSpace.from_study(study).resolve(study, {})


def compiled_config_of(config: TrialConfig) -> TrialConfig:
    """Without the check that a study file gets: a GPU may do without the C++ compiler that a CPU needs."""
    return config.model_copy(update={"training": config.training.model_copy(update={"compile": True})})


def wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def on_ready_tensors(trial: TrialTraining, epoch: int) -> tuple[float, Tensor]:
    """Seconds of an epoch's steps, method and optimizer included, on batches that are on the device; their losses."""
    training, losses = trial.config.training, []
    batches = [
        (batch.inputs.clone(), batch.indices_B, batch.labels_BC, batch.num_images)
        for batch in trial.optimization.batches(epoch)
    ]
    trial.optimization.phase.forward.train()
    wait_for(trial.device)
    started = time.perf_counter()
    for images, indices_B, labels_BC, num_images in batches:
        with torch.autocast(trial.device.type, torch.bfloat16, enabled=uses_bf16(training.precision, trial.device)):
            logits_BC = trial.optimization.phase.forward(images)
        outcome = trial.method(
            Batch(
                logits_BC=logits_BC,
                labels_BC=labels_BC,
                indices_B=indices_B,
                epoch=epoch,
                epochs=training.epochs,
                num_images=num_images,
            )
        )
        outcome.loss.backward()
        trial.optimizer.step()
        trial.optimizer.zero_grad(set_to_none=True)
        losses.append(outcome.loss.detach().clone())  # the next batch's CUDA graph writes where the loss lies
    wait_for(trial.device)
    return time.perf_counter() - started, torch.stack(losses)


def bare_compiled_steps(trial: TrialTraining, epoch: int) -> float:
    """Seconds of as many steps of the trial's compiled network on ready tensors, with binary cross-entropy."""
    training, network = trial.config.training, trial.optimization.phase.forward
    groups = [{"params": list(network.parameters()), "lr": training.learning_rate}]
    optimizer = optimizer_of(training, groups)
    batches = [(batch.inputs.clone(), (batch.labels_BC > 0).float()) for batch in trial.optimization.batches(epoch)]
    network.train()
    wait_for(trial.device)
    started = time.perf_counter()
    for images, targets_BC in batches:
        with torch.autocast(trial.device.type, torch.bfloat16, enabled=uses_bf16(training.precision, trial.device)):
            logits_BC = network(images)
        F.binary_cross_entropy_with_logits(logits_BC.float(), targets_BC).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    wait_for(trial.device)
    return time.perf_counter() - started


def compile_seconds(config: TrialConfig, device: torch.device, size: int) -> float:
    """What a first epoch of two batches takes longer than the second one, in this process."""
    trial = TrialTraining(config, random_data(2 * config.training.batch_size, size), device=device)
    first, _ = on_ready_tensors(trial, 3)
    second, _ = on_ready_tensors(trial, 3)
    return first - second


def print_compile_seconds(arguments: argparse.Namespace) -> bool:
    """Of two trials, each in a process of its own, on a machine that has compiled nothing; whether it can compile."""
    options = [f"--{name}={getattr(arguments, name)}" for name in ("device", "backbone", "size")]
    for trial in ("first", "second"):
        command = [sys.executable, __file__, *options, "--batch-sizes", str(min(arguments.batch_sizes))]
        done = subprocess.run([*command, "--only-compile"], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            print(f"nothing is compiled here: {done.stderr.strip().splitlines()[-1]}")
            return False
        print(f"compiling in the {trial} trial: {float(done.stdout.splitlines()[-1]):.1f} s", flush=True)
    return True


def compare_compiled(config: TrialConfig, compiled_config: TrialConfig, data: TrialData, device: torch.device) -> None:
    """Print a step's milliseconds, plain, compiled and bare, and the largest difference of a loss."""
    plain, compiled = (TrialTraining(one, data, device=device) for one in (config, compiled_config))
    (_, expected), (_, found) = on_ready_tensors(plain, 3), on_ready_tensors(compiled, 3)
    print(f"largest difference of a batch's loss over an epoch: {(found - expected).abs().max():.1e} (goal: 1e-3)")
    bare = TrialTraining(compiled_config, data, device=device)
    bare_compiled_steps(bare, 3)
    rounds = []
    for epoch in range(4, 4 + ROUNDS):
        seconds = on_ready_tensors(plain, epoch)[0], on_ready_tensors(compiled, epoch)[0]
        rounds.append((*seconds, bare_compiled_steps(bare, epoch)))
    steps = -(-len(data.train) // config.training.batch_size)
    of_plain, of_compiled, of_bare = (1e3 * statistics.median(one) / steps for one in zip(*rounds, strict=True))
    print(f"a step: plain {of_plain:.2f} ms, compiled {of_compiled:.2f} ms, bare compiled {of_bare:.2f} ms")
    plain_ratio = statistics.median(plain / compiled for plain, compiled, _ in rounds)
    bare_ratio = statistics.median(bare / compiled for _, compiled, bare in rounds)
    print(f"compiled / plain speed: {plain_ratio:.2f} (goal: 2.5); compiled / bare: {bare_ratio:.3f} (goal: .95)")


def compare_pixels(config: TrialConfig, data: TrialData, device: torch.device) -> None:
    """Print images per second of compiled training on pixels of the machine's memory and of the device's."""
    trial = TrialTraining(config, data, device=device)
    assert data.train.images_NcHW is not None
    pixels_NcHW = copied(np.asarray(data.train.images_NcHW), device)
    rates: dict[str, list[float]] = {"sent": [], "on the device": []}
    for _ in range(1 + ROUNDS):
        for place, pixels in (("sent", None), ("on the device", pixels_NcHW)):
            inputs = partial(ImageInputs, device=device, flips=True, pixels_NcHW=pixels)
            trial.optimization.inputs = TrialInputs(lambda split, inputs=inputs: inputs(data.split(split)))
            rates[place].append(len(data.train) / trial.run_epoch().train_seconds)
    for place, found in rates.items():
        print(f"compiled training, pixels {place}: {statistics.median(found[1:]):.0f} images/s (goal: 1,500)")


def compare_with_ready_tensors(config: TrialConfig, data: TrialData, device: torch.device, epochs: int) -> float:
    """Print images per second of both sides, epoch by epoch in turns; return the median seconds of a step."""
    trial = TrialTraining(config, data, device=device)
    trial.run_epoch()
    on_ready_tensors(trial, 1)
    ratios, steps = [], []
    for epoch in range(2, 2 + epochs):
        seconds = trial.run_epoch().train_seconds
        ready, _ = on_ready_tensors(trial, epoch)
        ratios.append(ready / seconds)
        steps.append(seconds / -(-len(data.train) // config.training.batch_size))
        print(f"  epoch {epoch}: {len(data.train) / seconds:.0f} images/s, ready {len(data.train) / ready:.0f}")
    print(f"  ours / ready tensors, median: {statistics.median(ratios):.3f}")
    return statistics.median(steps)


def waits_of(trial: TrialTraining, epoch: int) -> Counter[str]:
    """How often the CPU waits for the device while an epoch trains."""
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if trial.device.type == "cuda" else [])]
    with profile(activities=activities) as record:
        trial.optimization.train_epoch(epoch, lambda: trial.evaluation.scores("train"))
    return Counter({event.key: event.count for event in record.key_averages() if event.key in WAITS})


def compare_waits(config: TrialConfig, device: torch.device, size: int, num_images: int) -> None:
    """Twice as many batches must not bring one wait more."""
    counts = []
    for images in (num_images, 2 * num_images):
        trial = TrialTraining(config, random_data(images, size), device=device)
        trial.run_epoch()
        counts.append(waits_of(trial, 2))
    batches = num_images // config.training.batch_size
    print(f"waits of an epoch of {batches} batches: {dict(counts[0])}; of {2 * batches} batches: {dict(counts[1])}")


def seconds_of(work: Callable[[], object], device: torch.device) -> float:
    """Median over repeats, the device's own work included."""
    seconds = []
    for _ in range(REPEATS):
        wait_for(device)
        started = time.perf_counter()
        work()
        wait_for(device)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def learn(method: Method, batch: Batch) -> None:
    method(batch).loss.backward()


def compare_selections(device: torch.device, step_s_of: dict[int, float]) -> None:
    """What LL-R costs beyond AN, forward and backward, as a share of the step of so many images measured above."""
    for num_images, num_classes in SELECTIONS:
        step_s = step_s_of.get(num_images, min(step_s_of.values()))
        logits_BC = torch.randn(num_images, num_classes, device=device, requires_grad=True)
        labels_BC = (torch.rand(num_images, num_classes, device=device) < 0.02).to(torch.int8)
        batch = Batch(
            logits_BC=logits_BC,
            labels_BC=labels_BC,
            indices_B=torch.arange(num_images, device=device),
            epoch=5,
            epochs=10,
            num_images=num_images,
        )
        an = create_method("AN", labels_NC=labels_BC)
        ll_r = create_method("LL-R", labels_NC=labels_BC, schedule=schedule("linear", rate_per_epoch=RATE))
        plain, selecting = (seconds_of(partial(learn, method, batch), device) for method in (an, ll_r))
        share = (selecting - plain) / step_s
        print(
            f"{num_images} x {num_classes}: AN {1e6 * plain:.0f} us, LL-R {1e6 * selecting:.0f} us; selecting takes "
            f"{100 * share:.2f} % of a step of {1e3 * step_s:.1f} ms"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--size", type=int, default=448)
    parser.add_argument("--images", type=int, default=640)
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--only-compile", action="store_true", help="print the seconds of compiling alone")
    arguments = parser.parse_args()
    device, smallest = torch.device(arguments.device), min(arguments.batch_sizes)
    compiled_config = compiled_config_of(config_of(arguments.backbone, smallest))
    if arguments.only_compile:
        print(compile_seconds(compiled_config, device, arguments.size))
        return
    started = time.perf_counter()
    print(torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU", f"torch {torch.__version__}")
    data, step_s = random_data(arguments.images, arguments.size), {}
    with tempfile.TemporaryDirectory() as cache:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache
        if print_compile_seconds(arguments):
            print(f"{arguments.backbone} at {arguments.size}, batch {smallest}", flush=True)
            compare_compiled(config_of(arguments.backbone, smallest), compiled_config, data, device)
            compare_pixels(compiled_config, data, device)
    print(f"so far {time.perf_counter() - started:.0f} s", flush=True)
    for batch_size in arguments.batch_sizes:
        print(f"{arguments.backbone} at {arguments.size}, batch {batch_size}")
        config = config_of(arguments.backbone, batch_size)
        step_s[batch_size] = compare_with_ready_tensors(config, data, device, arguments.epochs)
    compare_waits(config_of(arguments.backbone, smallest), device, arguments.size, 8 * smallest)
    compare_selections(device, step_s)
    print(f"in all {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
