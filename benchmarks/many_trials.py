"""A study of 1,000 trials that do nothing: what one costs late in a long study, and how large the driver grows.

    python benchmarks/many_trials.py --trials 1000

Exits with 1 if the last hundred trials take over twice the time of the first hundred, or the driver over 1 GiB.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile

from trial_overhead import EndTimes, no_op_study, open_no_op

from wsml_study.tuning.run import run_study

MOST_GROWTH, MOST_BYTES = 2.0, 2**30
HUNDRED = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=1000)
    arguments = parser.parse_args()
    times = EndTimes()
    with tempfile.TemporaryDirectory() as storage:
        assert run_study(no_op_study(arguments.trials, storage), times, open_trial=open_no_op).finished
    ended = times.ended
    first, last = (part[-1] - part[0] for part in (ended[:HUNDRED], ended[-HUNDRED:]))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(f"{len(ended):,} trials in {ended[-1] - ended[0]:.1f} s from the first end to the last")
    print(f"first hundred {first:.2f} s, last hundred {last:.2f} s: {last / first:.2f} times")
    print(f"peak memory of the driver {peak / 2**30:.2f} GiB")
    sys.exit(last > MOST_GROWTH * first or peak > MOST_BYTES)


if __name__ == "__main__":
    main()
