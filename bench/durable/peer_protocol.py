"""How durable.py talks to a peer: it starts `peer.py FOLDER`, waits for {"ready": true}, then sends one
line {"runs": R, "steps": S} for each measurement and gets one line {"seconds": ..., "step_ms": [...]}.

`seconds` is from the first start to the end of the last run; `step_ms` holds how long each step of the
first run took, its durable end included.
"""

import json
import sys
import time


class StepClock:
    """Times between the ends of steps of one run."""

    def __init__(self):
        self.times = [time.perf_counter()]

    def step_ended(self):
        self.times.append(time.perf_counter())

    def step_ms(self):
        return [(b - a) * 1000 for a, b in zip(self.times, self.times[1:])]


def serve(measure):
    """`measure(runs, steps)` gives (seconds, step_ms)."""
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        wanted = json.loads(line)
        seconds, step_ms = measure(wanted["runs"], wanted["steps"])
        print(json.dumps({"seconds": seconds, "step_ms": step_ms}), flush=True)
