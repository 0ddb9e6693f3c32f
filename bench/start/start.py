#!/usr/bin/env python3
"""From starting the program to the first token of the default model: whole processes, wall clock.

    start.py SLUICE [RUNS]

Each run loads the model (cached by the system after the first, which is not counted), takes one step of
one token and ends. Prints the lowest, the median and the highest of RUNS (5).
"""

import pathlib
import statistics
import subprocess
import sys
import time


def one_run(program, plan):
    start = time.perf_counter()
    # Else an earlier run's answer would stand for the token.
    done = subprocess.run([program, "run", "--quiet", "--without", "reuse_results", plan],
                          capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"the run failed:\n{done.stderr}")
    return time.perf_counter() - start


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    plan = str(pathlib.Path(__file__).with_name("plan.yaml"))
    one_run(sys.argv[1], plan)
    times = [one_run(sys.argv[1], plan) for _ in range(runs)]
    print(f"start to first token and end: median {statistics.median(times):.2f} s "
          f"({min(times):.2f} to {max(times):.2f}) over {runs} runs")


if __name__ == "__main__":
    main()
