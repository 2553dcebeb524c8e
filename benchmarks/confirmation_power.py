"""Error rate, power and seeds of confirmations, simulated: `seeds: auto` beside a fixed number of seeds.

A study has three configs and a baseline. Differences are in units of the deviation of paired differences, which no test
knows; three configs share the baseline's runs, so their differences are correlated. Prints a table of each setting:

    wrong      studies with any wrong claim of a difference (goal: at most alpha)
    same       studies with any wrong claim of equivalence, where a margin is given (goal: at most alpha)
    found      how often the first config is found: above, or equivalent where it truly is
    seeds      mean number of seeds of the first config, and of each config

Run: python benchmarks/confirmation_power.py [--studies 2000] [--at-most 30] [--setting 0]
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from wsml_study.results.sequential import Floats, Rounds, rounds_up_to
from wsml_study.results.verdicts import FIXED, Judged, Rule, Verdict, judge

ALPHA = 0.05
SETTINGS: tuple[tuple[str, tuple[float, ...], float | None], ...] = (
    ("nothing differs", (0.0, 0.0, 0.0), None),
    ("nothing differs, margin .7", (0.0, 0.0, 0.0), 0.7),
    ("one config .5 above", (0.5, 0.0, 0.0), None),
    ("one config .8 above", (0.8, 0.0, 0.0), None),
    ("one config 1.2 above", (1.2, 0.0, 0.0), None),
    ("one config 2 above", (2.0, 0.0, 0.0), None),
    ("one equal, two 1.2 below, margin .7", (0.0, -1.2, -1.2), 0.7),
    ("one at the margin .7, two equal", (0.7, 0.0, 0.0), 0.7),
)


@dataclass(frozen=True, kw_only=True)
class Simulated:
    """A simulated confirmation: what was found of each config, and after how many seeds."""

    judged: tuple[Judged, ...]
    seeds: tuple[int, ...]


def simulate(shifts: tuple[float, ...], rule: Rule, looks: tuple[int, ...], seed: int) -> Simulated:
    """A confirmation whose configs are above the baseline by these shifts, judged round by round as a run is."""
    rng = np.random.default_rng(seed)
    runs = rng.standard_normal((len(shifts) + 1, looks[-1])) / np.sqrt(2)
    differences = runs[1:] - runs[0] + np.array(shifts)[:, None]
    rounds: list[list[Floats]] = [[] for _ in shifts]
    going = list(range(len(shifts)))
    judged: list[Judged] = []
    for count in looks:
        for config in going:
            rounds[config].append(differences[config, :count])
        judged = judge(rounds, rule)
        going = [config for config, one in enumerate(judged) if one.verdict is Verdict.OPEN]
        if not going:
            break
    return Simulated(judged=tuple(judged), seeds=tuple(len(one[-1]) for one in rounds))


def row(shifts: tuple[float, ...], margin: float | None, *, at_most: int | None, seeds: int, studies: int) -> str:
    """Rates over many simulated confirmations."""
    looks = (seeds,) if at_most is None else rounds_up_to(at_most)
    rule = Rule(rounds=FIXED if at_most is None else Rounds(looks), alpha=ALPHA, margin=margin)
    with ProcessPoolExecutor() as pool:
        found = list(pool.map(partial(simulate, shifts, rule, looks), range(studies), chunksize=50))
    wrong = same = hits = 0
    for one in found:
        verdicts = [judged.verdict for judged in one.judged]
        wrong += any(_wrong_difference(verdict, shift) for verdict, shift in zip(verdicts, shifts, strict=True))
        same += any(
            verdict is Verdict.EQUIVALENT and margin is not None and abs(shift) >= margin
            for verdict, shift in zip(verdicts, shifts, strict=True)
        )
        hits += verdicts[0] is (Verdict.ABOVE if shifts[0] else Verdict.EQUIVALENT)
    first = np.mean([one.seeds[0] for one in found])
    each = np.mean([one.seeds for one in found])
    rate = "-" if margin is None else f"{same / studies:.3f}"
    hit = "-" if margin is None and not shifts[0] else f"{hits / studies:.3f}"
    return f"{wrong / studies:.3f} | {rate} | {hit} | {first:.1f} | {each:.1f}"


def _wrong_difference(verdict: Verdict, shift: float) -> bool:
    if verdict is Verdict.ABOVE:
        return shift <= 0
    return verdict is Verdict.BELOW and shift >= 0


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=2000)
    parser.add_argument("--at-most", type=int, default=30)
    parser.add_argument("--setting", type=int, choices=range(len(SETTINGS)), help="only this one, from 0")
    arguments = parser.parse_args()
    chosen = SETTINGS if arguments.setting is None else SETTINGS[arguments.setting :][:1]
    print("| setting | seeds | wrong | same | found | seeds of the first | seeds of each |")
    print("|---|---|---|---|---|---|---|")
    for name, shifts, margin in chosen:
        for at_most, seeds in ((None, 5), (None, arguments.at_most), (arguments.at_most, 0)):
            kind = f"{seeds}" if at_most is None else f"auto, at most {at_most}"
            result = row(shifts, margin, at_most=at_most, seeds=seeds, studies=arguments.studies)
            print(f"| {name} | {kind} | {result} |", flush=True)


if __name__ == "__main__":
    main()
