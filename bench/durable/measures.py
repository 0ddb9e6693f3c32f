"""The measures of bench/durable that need only Sluice's program: cost on the main job, resuming a long
run, bytes on disk, lists of many runs. Each gives lists of numbers, one per round."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
RUN_S = 280

# 499,700 items of a stream and as many calls: 1,000,000 events but for 600, so that the snapshot which is
# taken every 500,000 records is as old as it can be.
MILLION_PLAN = """
sluice: 1
tools:
  lines: {kind: process, stdout: lines, effect: pure, command: [seq, "1", "499700"]}
  db: {kind: sql}
steps:
  number: {tool: lines}
  looked_up:
    for_each: "{{ steps.number.output }}"
    tool: db.query
    with: {sql: "select ? as n", args: ["{{ item }}"]}
  stop: {after: [looked_up], wait: {signal: go}}
result: "{{ steps.looked_up.output | length }}"
"""


def environment(journal):
    return dict(os.environ, SLUICE_JOURNAL=str(journal))


def run(command, journal, cwd, timeout_s=RUN_S, good=(0,)):
    """(seconds, stdout, stderr) of one process."""
    start = time.perf_counter()
    process = subprocess.Popen([str(word) for word in command], cwd=cwd, env=environment(journal),
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        out, err = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        raise SystemExit(f"{' '.join(map(str, command))} took more than {timeout_s} s")
    seconds = time.perf_counter() - start
    if process.returncode not in good:
        raise SystemExit(f"{' '.join(map(str, command))} ended with {process.returncode}:\n"
                         f"{err[-2000:]}")
    return seconds, out, err


def main_job(sluice, folder, rounds, say):
    """Seconds of the main job (the shipped sample of change logs) with and without a journal, in turns."""
    job = folder / "changes"
    shutil.copytree(ROOT / "examples/changes", job)
    command = [sluice, "run", "--quiet", job / "changes.yaml", "--param", "pattern=nowhere/*",
               "--param", "count=12"]
    run(command, folder / "warm.db", job)
    with_journal, without = [], []
    for round_number in range(rounds):
        say(f"main job, round {round_number + 1} of {rounds}")
        with_journal.append(run(command, folder / "main.db", job)[0])
        without.append(run([*command, "--no-journal"], folder / "none.db", job)[0])
    return with_journal, without


def peak_mb_of(command, journal, cwd):
    """Seconds, peak resident MB and the words of a child that runs this one command."""
    start = time.perf_counter()
    process = subprocess.Popen([str(word) for word in command], cwd=cwd, env=environment(journal),
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    err = process.stderr.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise SystemExit(f"{' '.join(map(str, command))} ended with {status}:\n{err[-2000:]}")
    return time.perf_counter() - start, usage.ru_maxrss / 1024, err


def make_million(sluice, folder):
    """A store with one run of 1,000,000 events that waits for a signal which has been sent."""
    plan = folder / "million.yaml"
    plan.write_text(MILLION_PLAN)
    store = folder / "million.db"
    with open(folder / "million.log", "w") as log:
        process = subprocess.Popen([sluice, "run", "--quiet", plan], cwd=folder, stderr=log,
                                   stdout=subprocess.DEVNULL, env=environment(store))
        end = time.monotonic() + RUN_S
        while "waiting" not in run([sluice, "runs"], store, folder, good=(0, 3))[1]:
            if process.poll() is not None or time.monotonic() > end:
                process.kill()
                raise SystemExit("the long run did not come to its wait: see million.log")
            time.sleep(1)
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)
    name = json.loads(run([sluice, "runs", "--json"], store, folder)[1].splitlines()[0])["run"]
    run([sluice, "signal", name, "go", "1"], store, folder)
    return store, name


def resume_million(sluice, folder, rounds, say):
    say("a run of 1,000,000 events (a minute or two)")
    store, name = make_million(sluice, folder)
    seconds, megabytes = [], []
    for round_number in range(rounds):
        say(f"resuming it, round {round_number + 1} of {rounds}")
        copy = folder / f"million{round_number}"
        copy.mkdir()
        for file in folder.glob("million.db*"):
            (shutil.copytree if file.is_dir() else shutil.copy)(file, copy / file.name)
        one = peak_mb_of([sluice, "resume", name], copy / "million.db", copy)
        seconds.append(one[0])
        megabytes.append(one[1])
        say(re.search(r"taken over: .*", one[2])[0])
        shutil.rmtree(copy)
    return seconds, megabytes, store.stat().st_size


def list_runs(sluice, bench, folder, rounds, say):
    say("a store of 100,000 runs")
    store = folder / "many.db"
    subprocess.run([bench, "--make-runs", "100000", str(store)], check=True, timeout=RUN_S)
    by_program, by_store = [], []
    for _ in range(rounds):
        by_program.append(run([sluice, "runs", "--limit", "20"], store, folder)[0])
        done = subprocess.run([bench, "--list", str(store)], check=True, capture_output=True,
                              text=True, timeout=RUN_S)
        by_store.append(float(done.stdout.split()[0]))
    return by_program, by_store
