"""K networks trained as one, by grouped convolutions, against K networks trained one after the other.

    python benchmarks/networks_together.py                              on a CPU
    python benchmarks/networks_together.py --device cuda --batch 32     on a GPU

Two kinds of trials: `small_cnn` on scenes of 32 pixels, and the last blocks of MobileNetV2 on what its frozen bottom
makes of photos of 96 pixels (3 x 3 places), batch norms as in evaluation. Each network has batches and weights of its
own. K networks as one: their images lie side by side as channels, each convolution has K groups, each head is one of
a batched product, and Adam steps once over all of them; and the same by `torch.func` (`vmap` over the stacked
weights). Losses of the first steps are compared with those of one by one before anything is timed. A step is forward,
backward and Adam, in turns within one process; the ratio is that of the medians. On a CPU with one thread the time is
that of the thread, which other work on the machine changes little.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, stack_module_state, vmap
from torch.nn.functional import binary_cross_entropy_with_logits as bce
from torchvision.models import mobilenet_v2

from wsml_study.training.small_cnn import SmallCnn

CLASSES = {"small_cnn": 10, "last blocks of MobileNetV2": 20}
INPUTS = {"small_cnn": (1, 32, 32), "last blocks of MobileNetV2": (160, 3, 3)}
STEPS = 5
"""Whose losses are compared."""

LEARNING_RATE = 1e-3

Step = Callable[[], Tensor]
"""Takes a step and returns the K losses."""


class LastBlocks(nn.Module):
    """The last inverted residual block, last convolution and head of MobileNetV2."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.features = mobilenet_v2().features[17:]
        self.head = nn.Linear(1280, num_classes)

    def forward(self, maps_BcHW: Tensor) -> Tensor:
        return self.head(self.features(maps_BcHW).mean(dim=(2, 3)))

    def train(self, mode: bool = True) -> LastBlocks:
        return super().train(False)  # batch norms keep their statistics


class Together(nn.Module):
    """K networks of one kind, whose convolutions, norms and heads are those of one network of K groups."""

    def __init__(self, networks: list[nn.Module]) -> None:
        super().__init__()
        self.features = grouped([network.features for network in networks])
        self.pool = torch.amax if isinstance(networks[0], SmallCnn) else torch.mean
        self.weight_KCD = nn.Parameter(torch.stack([network.head.weight.detach() for network in networks]))
        self.bias_KC = nn.Parameter(torch.stack([network.head.bias.detach() for network in networks]))

    def forward(self, images_KBcHW: Tensor) -> Tensor:
        num_networks, num_images = images_KBcHW.shape[:2]
        side_by_side = images_KBcHW.transpose(0, 1).flatten(1, 2)
        features_BKD = self.pool(self.features(side_by_side), dim=(2, 3)).view(num_images, num_networks, -1)
        return torch.baddbmm(self.bias_KC[:, None], features_BKD.transpose(0, 1), self.weight_KCD.transpose(1, 2))


def grouped(modules: list[nn.Module]) -> nn.Module:
    """One module of K groups in place of K modules."""
    first = modules[0]
    if isinstance(first, nn.Conv2d):
        made: nn.Module = nn.Conv2d(
            first.in_channels * len(modules),
            first.out_channels * len(modules),
            first.kernel_size,
            first.stride,
            first.padding,
            groups=first.groups * len(modules),
            bias=first.bias is not None,
        )
    elif isinstance(first, nn.GroupNorm):
        made = nn.GroupNorm(first.num_groups * len(modules), first.num_channels * len(modules))
    elif isinstance(first, nn.BatchNorm2d):
        made = nn.BatchNorm2d(first.num_features * len(modules)).eval()
        made.running_mean = torch.cat([module.running_mean for module in modules])
        made.running_var = torch.cat([module.running_var for module in modules])
    else:
        made = copy.copy(first)
        made._modules = {name: grouped([module._modules[name] for module in modules]) for name in first._modules}
        return made
    for name, parameter in made.named_parameters():
        parameter.data = torch.cat([dict(module.named_parameters())[name].detach() for module in modules])
    return made


def one_by_one(networks: list[nn.Module], images_KBcHW: Tensor, labels_KBC: Tensor) -> Step:
    """A step of each network after the other."""
    optimizers = [torch.optim.Adam(network.parameters(), LEARNING_RATE, fused=True) for network in networks]

    def step() -> Tensor:
        losses = []
        for network, optimizer, images, labels in zip(networks, optimizers, images_KBcHW, labels_KBC, strict=True):
            loss = bce(network(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        return torch.stack(losses)

    return step


def by_groups(networks: list[nn.Module], images_KBcHW: Tensor, labels_KBC: Tensor) -> Step:
    """A step of one network of K groups."""
    together = Together(networks).to(images_KBcHW.device, memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(together.parameters(), LEARNING_RATE, fused=True)

    def step() -> Tensor:
        losses_K = bce(together(images_KBcHW), labels_KBC, reduction="none").mean(dim=(1, 2))
        optimizer.zero_grad()
        losses_K.sum().backward()
        optimizer.step()
        return losses_K.detach()

    return step


def by_vmap(networks: list[nn.Module], images_KBcHW: Tensor, labels_KBC: Tensor) -> Step:
    """A step of `torch.func` over the stacked weights."""
    plain = [network.to(memory_format=torch.contiguous_format) for network in networks]  # vmap has no channels last
    weights, buffers = stack_module_state(plain)
    skeleton = copy.deepcopy(plain[0]).to("meta")
    optimizer = torch.optim.Adam(weights.values(), LEARNING_RATE, fused=True)

    def loss(weights: dict, buffers: dict, images: Tensor, labels: Tensor) -> Tensor:
        return bce(functional_call(skeleton, (weights, buffers), (images,)), labels)

    gradient = vmap(grad_and_value(loss))

    def step() -> Tensor:
        gradients, losses_K = gradient(
            {name: value.detach() for name, value in weights.items()}, buffers, images_KBcHW, labels_KBC
        )
        for name, value in weights.items():
            value.grad = gradients[name]
        optimizer.step()
        return losses_K

    return step


WAYS = {"grouped": by_groups, "torch.func": by_vmap}


def build(kind: str, count: int, device: torch.device) -> list[nn.Module]:
    networks: list[nn.Module] = []
    for seed in range(count):
        torch.manual_seed(seed)
        made = SmallCnn(1, CLASSES[kind]) if kind == "small_cnn" else LastBlocks(CLASSES[kind]).eval()
        networks.append(made.to(device, memory_format=torch.channels_last))
    return networks


def median_seconds(step: Step, seconds: float, device: torch.device) -> float:
    clock = time.thread_time if device.type == "cpu" and torch.get_num_threads() == 1 else time.perf_counter
    times: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 3:
        started = clock()
        step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(clock() - started)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1, help="of a trial's slot")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--together", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--seconds", type=float, default=2.0, help="for each figure of a turn")
    parser.add_argument("--turns", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device = torch.device(arguments.device)
    print(f"{arguments.batch} images a network and step, {device}, {arguments.threads} threads")
    for kind in CLASSES:
        for count in arguments.together:
            torch.manual_seed(0)
            images = torch.randn(count, arguments.batch, *INPUTS[kind], device=device)
            labels = (torch.rand(count, arguments.batch, CLASSES[kind], device=device) < 0.1).float()
            base = one_by_one(build(kind, count, device), images, labels)
            steps = {name: way(build(kind, count, device), images, labels) for name, way in WAYS.items()}
            expected = [base() for _ in range(STEPS)]
            worst = {}
            for name, step in steps.items():
                found = [step() for _ in range(STEPS)]
                worst[name] = max(float((a - b).abs().max()) for a, b in zip(expected, found, strict=True))
                assert worst[name] < 1e-5, f"{kind}, {name}: losses differ by {worst[name]:.1e}"
            times: dict[str, list[float]] = {name: [] for name in ("one by one", *steps)}
            for _ in range(arguments.turns):
                for name, step in {"one by one": base, **steps}.items():
                    times[name].append(median_seconds(step, arguments.seconds, device))
            one = statistics.median(times["one by one"])
            told = [
                f"{name} {one / statistics.median(times[name]):.2f} times as fast (losses differ by {worst[name]:.0e})"
                for name in steps
            ]
            print(f"{kind}, {count}: one by one {one * 1000:.1f} ms; {'; '.join(told)}", flush=True)


if __name__ == "__main__":
    main()
