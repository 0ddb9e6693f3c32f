"""Answers of earlier runs: the same plan run again, with a model server that counts its requests and with the real
model."""

import json
import pathlib
import re
import shutil
import signal
import sqlite3
import subprocess

import pytest

import conftest
from conftest import Endpoint, forget_results, wait_until

PLAN = """sluice: 1
params: {rows: {default: [a, b, a]}}
models: {m: {kind: openai, url: "%s", model: small}}
steps:
  ask: {for_each: "{{ params.rows }}", llm: m, with: {prompt: "{{ item }}?"%s}%s}
result: "{{ steps.ask.output }}"
"""


@pytest.fixture
def asking(sluice, endpoint):
    endpoint.script = [Endpoint.says("yes")]

    def run(*arguments, sampling="", more="", code=0):
        endpoint.requests.clear()
        done = sluice.run_plan(PLAN % (endpoint.url, sampling, more), *arguments)
        assert done.returncode == code, done.stdout + done.stderr
        return done, len(endpoint.requests)

    return run


def step(sluice, name="ask"):
    return next(each for each in sluice.shown("last")["steps"] if each["step"] == name)


def test_the_second_run_asks_only_what_is_new(sluice, asking):
    done, asked = asking()
    assert asked == 2 and "from earlier runs" not in done.stderr
    assert step(sluice)["earlier"] == 0 and step(sluice)["cached"] == 1
    done, asked = asking()
    assert asked == 0 and json.loads(done.stdout) == ["yes"] * 3
    assert "2 from earlier runs  1 as an equal call" in done.stderr
    assert step(sluice)["earlier"] == 2 and step(sluice)["cached"] == 3
    assert "2 from earlier runs" in sluice("runs", "show", "last").stdout
    assert "(2 earlier)" in sluice("explain", "--analyze", "last").stdout
    replayed = sluice("replay", "last")
    assert replayed.returncode == 0, replayed.stdout + replayed.stderr
    _, asked = asking("--param", 'rows=["a", "c"]')
    assert asked == 1


def test_it_can_be_switched_off(sluice, asking):
    asking()
    assert asking("--without", "reuse_results")[1] == 2
    assert asking("--no-optimize")[1] == 3
    assert asking()[1] == 0


def test_samples_stay_samples(sluice, asking):
    for sampling in (", temperature: 1", ", temperature: 1, seed: 4"):
        first = asking(sampling=sampling)[1]
        assert first > 0 and asking(sampling=sampling)[1] == first, sampling


def test_failures_are_not_kept(sluice, endpoint, asking):
    endpoint.script = [lambda _: (400, {"Content-Type": "application/json"}, {"error": {"message": "no"}})]
    _, first = asking(code=1)
    endpoint.script = [Endpoint.says("yes")]
    done, asked = asking()
    assert first > 0 and asked == 2 and json.loads(done.stdout) == ["yes"] * 3


def test_answers_of_earlier_runs_cost_no_call_of_a_budget(sluice, asking):
    asking()
    _, asked = asking("--param", 'rows=["a", "b", "c", "d"]', more=", budget: {calls: 2}, concurrency: 1")
    assert asked == 2


def test_a_broken_store_fails_no_run(sluice, endpoint, asking, tmp_path):
    env = {"SLUICE_CACHE": str(tmp_path / "cache")}
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/results.sqlite").write_bytes(b"x" * 5000)
    done = sluice.run_plan(PLAN % (endpoint.url, "", ""), env=env)
    assert done.returncode == 0 and "results are not cached" in done.stderr


def test_a_fork_asks_again_what_it_is_told_to(sluice, asking, endpoint):
    asking("--without", "reuse_results")
    forget_results()
    endpoint.requests.clear()
    done = sluice("fork", "last", "--from", "ask")
    assert done.returncode == 0, done.stderr
    assert len(endpoint.requests) == 2


def test_the_real_model_says_it_once(sluice):
    plan = """sluice: 1
steps:
  ask: {for_each: [sea, sky], llm: default, with: {prompt: "A word like {{ item }}:", max_tokens: 4}}
  warm: {llm: default, with: {prompt: "Another:", max_tokens: 4, temperature: 1, seed: 5}}
result: ["{{ steps.ask.output }}", "{{ steps.warm.output }}"]
"""
    first = sluice.run_plan(plan)
    assert first.returncode == 0, first.stderr
    second = sluice.run_plan(plan)
    assert second.stdout == first.stdout
    assert step(sluice)["earlier"] == 2 and step(sluice, "warm")["earlier"] == 1
    assert step(sluice)["tokens"] == 0


def test_a_killed_run_goes_on_with_what_is_kept(sluice, endpoint, asking):
    asking()
    plan = (PLAN % (endpoint.url, "", "")).replace("steps:\n", """tools:
  slow: {kind: process, stdout: text, effect: read, command: [sh, -c, "echo x >> began; sleep $(cat seconds)"]}
steps:
  first: {tool: slow}
""").replace("  ask: {", "  ask: {after: [first], ")
    (sluice.folder / "seconds").write_text("60")
    process = sluice.start("run", sluice.write("plan.yaml", plan))
    wait_until(lambda: process.poll() is not None or (sluice.folder / "began").exists())
    assert process.poll() is None, process.communicate()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    (sluice.folder / "seconds").write_text("0")
    endpoint.requests.clear()
    done = sluice("resume", "last")
    assert done.returncode == 0 and json.loads(done.stdout) == ["yes"] * 3, done.stderr
    assert not endpoint.requests


CACHED = """sluice: 1
tools:
  answer: {kind: process, stdout: text, effect: read, command: [./answer.sh]}
  words: {kind: python, file: words.py, functions: {word: {effect: read}}}
  db: {kind: sql, database: data.db}
steps:
  a: {tool: answer, cache: {ttl: 1h}}
  w: {tool: words.word, with: {n: 1}, cache: {ttl: 1h}}
  d: {tool: db.query, with: {sql: "select text from t"}, cache: {ttl: 1h}}
result: ["{{ steps.a.output | trim }}", "{{ steps.w.output }}", "{{ steps.d.output[0].text }}"]
"""


def cached_in(sluice, folder, says):
    """The same plan in a folder of its own, where its words stand for other programs and data."""
    sluice.write(f"{folder}/plan.yaml", CACHED)
    sluice.write(f"{folder}/answer.sh", f"#!/bin/sh\necho I am {says}\n")
    (sluice.folder / folder / "answer.sh").chmod(0o755)
    sluice.write(f"{folder}/words.py", f"def word(n):\n    return 'word of {says}'\n")
    data = sqlite3.connect(sluice.folder / folder / "data.db")
    with data:
        data.executescript(f"create table if not exists t(text); delete from t; insert into t values ('data of {says}');")
    data.close()


def test_what_is_cached_is_of_the_tool_and_not_of_its_name(sluice):
    for folder in "ab":
        cached_in(sluice, folder, folder)
        done = sluice("run", f"{folder}/plan.yaml")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == [f"I am {folder}", f"word of {folder}", f"data of {folder}"]
    # Of a program that is another now nothing stays; of data that is, what `ttl` says.
    cached_in(sluice, "a", "anew")
    done = sluice("run", "a/plan.yaml")
    assert json.loads(done.stdout) == ["I am anew", "word of anew", "data of a"], done.stdout + done.stderr
    assert "from earlier runs" in done.stderr


def test_another_build_begins_anew(sluice, endpoint, asking, tmp_path):
    notes = subprocess.run(["readelf", "-n", conftest.BINARY], capture_output=True, text=True).stdout
    found = re.search(r"Build ID: ([0-9a-f]+)", notes)
    if not found:
        pytest.skip("linked without a build id")
    _, asked = asking()
    assert asked == 2 and asking()[1] == 0
    build = bytes.fromhex(found[1])
    program = pathlib.Path(conftest.BINARY).read_bytes()
    assert program.count(build) == 1
    other = tmp_path / "sluice-of-another-day"
    other.write_bytes(program.replace(build, bytes(255 - byte for byte in build)))
    shutil.copymode(conftest.BINARY, other)
    endpoint.requests.clear()
    done = subprocess.run([other, "run", "plan.yaml"], cwd=sluice.folder, env=sluice.variables(), text=True,
                          capture_output=True, timeout=60)
    assert done.returncode == 0 and json.loads(done.stdout) == ["yes"] * 3, done.stderr
    assert len(endpoint.requests) == 2


def test_a_sample_is_asked_anew_and_the_other_rows_are_not(sluice, endpoint):
    endpoint.script = [Endpoint.says("yes")]
    plan = """sluice: 1
params: {t: {type: string}}
models: {m: {kind: openai, url: "%s", model: small}}
steps:
  ask: {llm: m, with: {prompt: "{{ params.t }}?"}}
result: {a: "{{ steps.ask.output }}"}
""" % endpoint.url
    sluice.write("in.csv", "t\n" + "".join(f"row {i}\n" for i in range(12)))
    words = ("batch", sluice.write("plan.yaml", plan), "--input", "in.csv", "--output")
    done = sluice(*words, "first.jsonl")
    assert done.returncode == 0 and len(endpoint.requests) == 12, done.stderr
    endpoint.requests.clear()
    done = sluice(*words, "second.jsonl", "--sample", 4, "--estimate")
    assert done.returncode == 0 and "sample: 4 of 12 rows" in done.stderr, done.stderr
    assert len(endpoint.requests) == 4
    done = sluice("resume", "last")
    assert done.returncode == 0 and "8 from earlier runs" in done.stderr, done.stderr
    assert len(endpoint.requests) == 4
