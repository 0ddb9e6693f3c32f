#!/usr/bin/env python3
"""What durability costs, beside DBOS, LangGraph and Restate, in turns, in one run. See README.md.

    durable.py --sluice BIN --bench BIN --python PYTHON --restate NODE_MODULES [--folder DIR]
               [--rounds 5] [--only steps,job,resume,list]
"""

import argparse
import pathlib
import shutil
import statistics
import sys
import tempfile

sys.dont_write_bytecode = True
import measures
import sides

PARTS = ["steps", "job", "resume", "list"]
# Steps of each measurement: enough for a second or two on each side.
ONE_RUN = {"Sluice": 1000, "DBOS": 100, "LangGraph": 300, "Restate": 300}
MANY_RUNS = 32
OF_MANY = {"Sluice": 1000, "DBOS": 20, "LangGraph": 20, "Restate": 100}


def say(text):
    print(f"bench-durable: {text}", file=sys.stderr, flush=True)


def spread(values, form="{:.2f}"):
    low, middle, high = (form.format(f(values)) for f in (min, statistics.median, max))
    return f"{middle} ({low} to {high})"


def verdict(good):
    return "met" if good else "MISSED"


def row(measure, side, value, bar="", good=None):
    print(f"{measure:<34} {side:<10} {value:<34} {bar} {'' if good is None else verdict(good)}".rstrip(),
          flush=True)


def measure_steps(options, folder):
    """{side: {"one": [p50 ms], "mean": [ms], "many": [steps/s]}} and what only our side tells."""
    say("starting the peers")
    peers = sides.open_peers(options.python, options.restate, folder)
    ours = sides.Side("Sluice", [options.bench], folder / "sluice")
    everyone = {"Sluice": ours, **peers}
    numbers = {name: {"one": [], "mean": [], "many": []} for name in everyone}
    syncs = []
    try:
        for side in everyone.values():  # warm, not counted
            side.measure(1, 10)
        for round_number in range(options.rounds):
            say(f"steps, round {round_number + 1} of {options.rounds}")
            for name, side in everyone.items():
                one = side.measure(1, ONE_RUN[name])
                numbers[name]["one"].append(statistics.median(one["step_ms"]))
                numbers[name]["mean"].append(statistics.fmean(one["step_ms"]))
                if "syncs" in one:
                    syncs.append(one["syncs"] / ONE_RUN[name])
            for name, side in everyone.items():
                many = side.measure(MANY_RUNS, OF_MANY[name])
                numbers[name]["many"].append(MANY_RUNS * OF_MANY[name] / many["seconds"])
        steps = 10 + options.rounds * (ONE_RUN["Sluice"] + MANY_RUNS * OF_MANY["Sluice"])
    finally:
        for side in everyone.values():
            side.close()
    # Closing has moved everything into the store's own file.
    size = sum(file.stat().st_size for file in (folder / "sluice").glob("journal.db*")
               if file.is_file())
    return numbers, syncs, size / steps


def ratios(ours, theirs):
    return [a / b for a, b in zip(ours, theirs)]


def print_steps(numbers, syncs, bytes_per_step):
    ours = numbers["Sluice"]
    one = "one run, a step, p50 (mean) ms"
    for name, mine in numbers.items():
        good = statistics.median(mine["one"]) < 1 if name == "Sluice" else None
        row(one, name, f"{spread(mine['one'])} ({statistics.median(mine['mean']):.2f})",
            "< 1" if name == "Sluice" else
            f"{spread(ratios(mine['one'], ours['one']), '{:.1f}')} times Sluice's", good)
    row("fdatasync calls a step", "Sluice", spread(syncs), "<= 3", max(syncs) <= 3)
    for name, mine in numbers.items():
        many = f"{MANY_RUNS} runs at once, steps/s"
        if name == "Sluice":
            row(many, name, spread(mine["many"], "{:.0f}"))
            continue
        faster = ratios(ours["many"], mine["many"])
        bar = {"DBOS": 50, "Restate": 10}.get(name)
        row(many, name, spread(mine["many"], "{:.0f}"),
            f"Sluice {spread(faster, '{:.1f}')} times" + (f", bar {bar}" if bar else ""),
            statistics.median(faster) >= bar if bar else None)
    row("bytes on disk a step", "Sluice", f"{bytes_per_step:.0f}", "<= 300", bytes_per_step <= 300)


def print_job(options, folder):
    with_journal, without = measures.main_job(options.sluice, folder, options.rounds, say)
    cost = statistics.median(with_journal) / statistics.median(without) * 100 - 100
    row("main job, seconds", "journal", spread(with_journal))
    row("main job, seconds", "none", spread(without))
    row("journal cost on the main job, %", "Sluice", f"{cost:.1f}", "< 2", cost < 2)


def print_resume(options, folder):
    seconds, megabytes, size = measures.resume_million(options.sluice, folder, options.rounds, say)
    row("resume 1,000,000 events, s", "Sluice", spread(seconds), "<= 5",
        statistics.median(seconds) <= 5)
    row("its peak resident MB", "Sluice", spread(megabytes, "{:.0f}"), "<= 300",
        max(megabytes) <= 300)
    row("its store on disk, MB", "Sluice", f"{size / 1e6:.0f}")


def print_list(options, folder):
    by_program, by_store = measures.list_runs(options.sluice, options.bench, folder,
                                              options.rounds, say)
    row("20 of 100,000 runs, program, s", "Sluice", spread(by_program, "{:.3f}"), "<= 0.2",
        statistics.median(by_program) <= 0.2)
    row("all 100,000 runs, store, s", "Sluice", spread(by_store, "{:.3f}"), "<= 0.2",
        statistics.median(by_store) <= 0.2)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("sluice", "bench", "python", "restate"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--folder", default="build", help="on the disk to measure")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default=",".join(PARTS))
    options = parser.parse_args()
    options.sluice, options.bench = (str(pathlib.Path(p).resolve())
                                     for p in (options.sluice, options.bench))
    wanted = options.only.split(",")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="bench-durable-", dir=options.folder)).resolve()
    try:
        print(f"medians of {options.rounds} rounds in turns (lowest to highest); same disk, synced by all",
              flush=True)
        if "steps" in wanted:
            print_steps(*measure_steps(options, folder))
        for part, print_part in (("job", print_job), ("resume", print_resume),
                                 ("list", print_list)):
            if part in wanted:
                print_part(options, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
