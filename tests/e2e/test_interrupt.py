"""Ctrl-C once lets running tasks end and starts nothing new; twice cuts them. Exit code 130."""

import os
import signal
import subprocess
import time

PLAN = """
sluice: 1
tools:
  slow: {kind: process, stdout: text, effect: idempotent, command: [sh, -c, "echo $$ > pid; touch started; sleep %s; touch ended"]}
  later: {kind: process, stdout: text, effect: idempotent, command: [touch, later]}
steps:
  a: {tool: slow}
  b: {after: [a], tool: later}
"""


def wait_for(path, seconds=20):
    end = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < end, f"{path} did not appear"
        time.sleep(0.02)


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def started(sluice, seconds):
    process = sluice.start("run", sluice.write("plan.yaml", PLAN % seconds))
    wait_for(sluice.folder / "started")
    return process


def test_once_lets_running_tasks_end(sluice):
    process = started(sluice, 2)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130, errors
    assert (sluice.folder / "ended").exists(), "the running task was cut"
    assert not (sluice.folder / "later").exists(), "something new was started"


def test_twice_cuts_what_runs_and_its_children(sluice):
    process = started(sluice, 60)
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert process.poll() is None
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130, errors
    assert time.monotonic() - begun < 10
    assert not (sluice.folder / "ended").exists()
    pid = int((sluice.folder / "pid").read_text())
    for _ in range(100):
        if not alive(pid):
            break
        time.sleep(0.05)
    assert not alive(pid), "the tool's process was left behind"


def test_during_generation(sluice):
    process = sluice.start("run", sluice.write("plan.yaml", """
sluice: 1
steps:
  a: {llm: default, with: {prompt: "Once upon a time", max_tokens: 1500, temperature: 1, seed: 3}}
result: "{{ steps.a.output }}"
"""))
    time.sleep(2.5)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130, errors


def test_a_closed_pipe_is_no_hang(sluice):
    plan = sluice.write("plan.yaml", """
sluice: 1
tools: {n: {kind: process, stdout: lines, effect: pure, command: [seq, "1", "3000"]}}
steps:
  a: {tool: n}
  b: {for_each: "{{ steps.a.output }}", value: "{{ item }}"}
result: "{{ steps.b.output }}"
""")
    process = sluice.start("run", plan, "--json")
    process.stdout.readline()
    process.stdout.close()
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
