#!/usr/bin/env python3
"""Makes the golden journal of a format version: one run in each state that a journal can hold.

    make.py SLUICE OUTPUT.db

Once for each format, by the first version that writes it; never again for an old one. Beside it OUTPUT.json
says what test_old_journals.py does with each run and what must come of it. The runs are begun in
/tmp/sluice-golden, which need not exist later: their plans touch no files.
"""

import json
import os
import pathlib
import shutil
import signal
import sqlite3
import subprocess
import sys
import time

PLACE = pathlib.Path("/tmp/sluice-golden")
TOOLS = """
sluice: 1
tools:
  numbers: {kind: process, stdout: lines, effect: pure, command: [seq, "1", "4"]}
  echo: {kind: process, stdout: text, effect: idempotent, cwd: /, command: [echo]}
  pay: {kind: process, stdout: text, command: [sh, -c, "echo begun > begun; sleep 1; echo paid"]}
  fails: {kind: process, effect: idempotent, command: ["false"]}
  booked:
    kind: process
    stdout: text
    cwd: /
    command: [echo, booked]
    effect: idempotent
    undo: {tool: echo.run, with: {args: ["took back {{ output }}"]}}
  db: {kind: sql}
"""

# name: (plan, state to reach, what the test does then, what comes of it)
RUNS = {
    "succeeded": ("""
params: {n: {type: integer, default: 3}}
plans:
  part:
    params: {x: {type: integer}}
    steps: {double: {tool: db.query, with: {sql: "select ? * 2 as y", args: ["{{ params.x }}"]}}}
    result: "{{ steps.double.output[0].y }}"
steps:
  number: {tool: numbers}
  part: {for_each: "{{ steps.number.output }}", plan: part, with: {x: "{{ item | int }}"}}
  bad: {tool: fails, retry: {attempts: 2, delay: 10ms, on: [TOOL_FAILED]}, on_error: {value: instead}}
  round: {tool: echo, with: {args: ["{{ round }}"]}, repeat: {until: "{{ round == params.n }}", max: 5}}
  pause: {wait: {for: 10ms}}
result: "{{ steps.part.output | join(' ') }} {{ steps.bad.output }} {{ steps.round.output | trim }}"
""", "succeeded", [], "2 4 6 8 instead 3"),
    "failed": ("steps: {a: {tool: fails}}\n", "failed", [], None),
    "waiting": ("""
steps:
  number: {tool: numbers}
  seen: {for_each: "{{ steps.number.output }}", tool: echo, with: {args: ["<{{ item }}>"]}}
  ask: {after: [seen], wait: {signal: go, of: Ada, ask: "Go on?"}}
  last: {tool: echo, with: {args: ["{{ steps.ask.output }}"]}}
result: "{{ steps.seen.output | join('') | replace('\\n', '') }}{{ steps.last.output | trim }}"
""", "waiting", [["signal", "RUN", "go", '"on"'], ["resume", "RUN"]], "<1><2><3><4>on"),
    "in_doubt": ("""
steps:
  one: {tool: echo, with: {args: [one]}}
  paid: {after: [one], tool: pay}
result: "{{ steps.paid.output }}"
""", "begun", [["resume", "RUN", 4], ["resolve", "RUN", "paid", "--done", '"by hand"'],
                ["resume", "RUN"]], "by hand"),
    "to_undo": ("""
undo: true
steps:
  first: {tool: booked}
  ask: {after: [first], wait: {signal: go}}
""", "waiting", [["cancel", "RUN"]], None),
}


def sluice(binary, *words):
    return subprocess.run([binary, *words], cwd=PLACE, capture_output=True, text=True, timeout=60,
                          env=dict(os.environ, SLUICE_JOURNAL=str(PLACE / "journal.db")))


def known_runs(binary):
    return [json.loads(line) for line in sluice(binary, "runs", "--json").stdout.splitlines()]


def run_until(binary, name, plan, state):
    """Begins a run and kills it once it stands where it should; its id."""
    file = PLACE / f"{name}.yaml"
    file.write_text(TOOLS.lstrip("\n") + plan.lstrip("\n"))
    process = subprocess.Popen([binary, "run", "--quiet", file.name], cwd=PLACE,
                               env=dict(os.environ, SLUICE_JOURNAL=str(PLACE / "journal.db")))
    for _ in range(500):
        run = next((r for r in known_runs(binary) if r["plan"] == file.name), None)
        if run and run["state"] == state:
            break
        if state == "begun" and (PLACE / "begun").exists():
            break
        time.sleep(0.02)
    else:
        sys.exit(f"{name} did not come to {state}")
    if process.poll() is None and state not in ("succeeded", "failed"):
        process.send_signal(signal.SIGKILL)
    process.wait(timeout=20)
    return run["run"]


def main():
    binary, output = str(pathlib.Path(sys.argv[1]).resolve()), pathlib.Path(sys.argv[2]).resolve()
    shutil.rmtree(PLACE, ignore_errors=True)
    PLACE.mkdir()
    told = []
    for name, (plan, state, commands, result) in RUNS.items():
        run = run_until(binary, name, plan, state)
        told.append({"run": run, "name": name, "commands": commands, "result": result})
    time.sleep(1.5)  # tools that outlived their Sluice
    with sqlite3.connect(PLACE / "journal.db") as store:
        store.execute("pragma wal_checkpoint(truncate)")
        store.execute("pragma journal_mode = delete")
    store.close()
    shutil.copy(PLACE / "journal.db", output)
    output.with_suffix(".json").write_text(json.dumps(told, indent=1) + "\n")
    shutil.rmtree(PLACE)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main()
