"""Which copy of a model's weights a process uses, and that a run keeps what it began with. The copies here are
the test model with a byte more: what matters is which file is opened."""

import hashlib
import json
import os
import shutil

import pytest

from conftest import wait_until

PLAN = """
sluice: 1
steps:
  ask: {wait: {signal: go}}
  say: {after: [ask], llm: default, with: {prompt: "One word:", max_tokens: 2, temperature: 0}}
result: "{{ steps.say.output }}"
"""
FILE_CLOCK_EPOCH_NS = 6_437_664_000 * 10**9  # of libstdc++: the year 2174


def sha256(file):
    return hashlib.sha256(file.read_bytes()).hexdigest()


class Weights:
    """A cache with a model and, once prepared, its copy."""

    def __init__(self, folder):
        self.cache = folder / "cache"
        self.model = self.cache / "models" / "model.gguf"
        self.model.parent.mkdir(parents=True)
        shutil.copyfile(os.environ["SLUICE_TEST_MODEL"], self.model)
        self.prepared = self.cache / "models" / "prepared"

    def env(self, weights=None):
        more = {"SLUICE_CACHE": str(self.cache), "SLUICE_MODEL": str(self.model)}
        return {**more, "SLUICE_WEIGHTS": weights or ""}

    def prepare(self, name="q8_0"):
        self.prepared.mkdir()
        copy = self.prepared / f"abc-{name}.gguf"
        shutil.copyfile(self.model, copy)
        with copy.open("ab") as file:
            file.write(b"\0")
        status = self.model.stat()
        about = {"format": name, "sha256": sha256(copy), "bytes": copy.stat().st_size,
                 "source": {"path": str(self.model.resolve()), "bytes": status.st_size,
                            "modified_ns": status.st_mtime_ns - FILE_CLOCK_EPOCH_NS}}
        copy.with_suffix(".json").write_text(json.dumps(about))
        (self.prepared / "abc-throughput.json").write_text(json.dumps(about))
        return copy


@pytest.fixture
def weights(tmp_path):
    return Weights(tmp_path)


def begin(sluice, env):
    """A run that was killed while it waited for its signal; its id and its journal's text."""
    known = len(sluice.runs())
    process = sluice.start("run", sluice.write("plan.yaml", PLAN), env=env)
    wait_until(lambda: process.poll() is not None or
               (len(sluice.runs()) > known and sluice.runs()[0]["state"] == "waiting"))
    assert process.poll() is None, process.communicate()
    process.kill()
    process.communicate()
    run_id = sluice.runs()[0]["run"]
    return run_id, sluice("runs", "export", run_id).stdout


def test_the_chosen_copy_is_used_and_can_be_switched_off(sluice, weights):
    own = sha256(weights.model)
    assert own in begin(sluice, weights.env())[1], "nothing is prepared"
    copy = sha256(weights.prepare())
    assert copy in begin(sluice, weights.env())[1]
    found = begin(sluice, weights.env("as-is"))[1]
    assert own in found and copy not in found
    done = sluice.run_plan(PLAN, env=weights.env("f16"))
    assert done.returncode != 0 and "models prepare --format f16" in done.stderr, done.stderr
    done = sluice.run_plan(PLAN, env=weights.env("quick"))
    assert done.returncode != 0 and "as-is" in done.stderr and "'quick'" in done.stderr, done.stderr


def test_a_run_goes_on_with_the_weights_that_it_began_with(sluice, weights):
    before, _ = begin(sluice, weights.env())
    weights.prepare()
    after, _ = begin(sluice, weights.env())
    for run_id, weights_now in (before, None), (after, "as-is"):
        told = sluice("signal", run_id, "go")
        assert told.returncode == 0, told.stderr
        done = sluice("resume", run_id, env=weights.env(weights_now))
        assert done.returncode == 0, done.stdout + done.stderr
    # The copy is gone: what goes on would be another model.
    third, _ = begin(sluice, weights.env())
    shutil.rmtree(weights.prepared)
    sluice("signal", third, "go")
    done = sluice("resume", third, env=weights.env())
    assert done.returncode != 0 and "RUN_CHANGED" in done.stderr, done.stdout + done.stderr
