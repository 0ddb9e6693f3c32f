"""kill -9 at random moments, over real runs with real tools and, one in ten, real model calls.

Each history kills a run, resumes it, sometimes kills the resumed one too, and ends when the run does. The
tools keep a ledger outside (ledger.py). At the end it must tell the same as that of a run that nobody
disturbed: nothing lost, nothing done twice; doubt only where nobody can know, and then what the ledger
says settles it. 40 histories, 200 with SLUICE_TEST_LONG; SLUICE_KILL_SEED=N runs that one alone.
"""

import collections
import concurrent.futures
import json
import os
import pathlib
import random
import re
import sqlite3
import subprocess
import threading
import time

import kill_shapes
from conftest import Sluice

HISTORIES = 200 if os.environ.get("SLUICE_TEST_LONG") else 40
SIDE_BY_SIDE = 2
MAX_DECISIONS = 20
CONCURRENCY = 4  # of every tool in kill_shapes.py


class World(Sluice):
    """One plan, one journal, one ledger in a folder of their own."""

    def __init__(self, folder, name):
        super().__init__(folder)
        (folder / "out").mkdir(parents=True)
        self.ledger_file = folder / "ledger"
        self.shape = kill_shapes.shapes(self.ledger_file)[name]
        self.write("plan.yaml", self.shape.plan)

    def launch(self, *arguments):
        out, err = open(self.folder / "stdout", "w"), open(self.folder / "stderr", "a")
        with out, err:
            return subprocess.Popen(self.words(*arguments), cwd=self.folder, stdout=out, stderr=err,
                                    env=self.variables())

    def ledger(self):
        if not self.ledger_file.exists():
            return []
        return [json.loads(line) for line in self.ledger_file.read_text().splitlines()]

    def deeds(self):
        """(deed, argument, key) of what was really done, in order."""
        return [(e["deed"], e["gave"]["of"], e["key"]) for e in self.ledger() if "gave" in e]

    def files(self):
        return {file.name: file.read_text() for file in (self.folder / "out").iterdir()}

    def rows(self):
        if not (self.folder / "rows.db").exists():
            return []
        with sqlite3.connect(self.folder / "rows.db") as database:
            return database.execute("select id, text from row order by id").fetchall()

    def only_run(self):
        """Its run as lists have it; None when nothing of it had been journaled."""
        runs = self.runs()
        assert len(runs) <= 1, runs
        return runs[0] if runs else None

    def orphans(self):
        """Processes of tools that outlived a killed Sluice."""
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and str(self.ledger_file) in (entry / "cmdline").read_text():
                    found.append(entry.name)
            except OSError:
                pass
        return found


class Reference:
    """What a run of this shape gives when nobody disturbs it."""

    def __init__(self, folder, name):
        world = World(folder, name)
        start = time.monotonic()
        done = world("run", "--quiet", "plan.yaml")
        self.seconds = time.monotonic() - start
        assert done.returncode == world.shape.exit_code, done.stdout + done.stderr
        self.result = world.shown(world.only_run()["run"]).get("result")
        self.deeds, self.files, self.rows = world.deeds(), world.files(), world.rows()
        counts = collections.Counter(deed for deed, _, _ in self.deeds)
        assert counts == world.shape.deeds
        assert len(self.files) == world.shape.files and len(self.rows) == world.shape.rows


class History:
    def __init__(self, seed, name, reference, folder):
        self.random = random.Random(seed)
        self.name, self.reference, self.world = name, reference, World(folder, name)
        self.kills = self.decisions = 0
        self.said = []

    def say(self, text):
        self.said.append(text)

    def next_command(self):
        """To begin the run or to go on with it; None when it has ended."""
        run = self.world.only_run()
        if run is None:
            assert self.world.deeds() == [], "something was done before the run was journaled"
            # The model is to be killed in the middle of a sentence, every time.
            return ["run", "--quiet", "--without", "reuse_results", "plan.yaml"]
        return None if run["ended"] else ["resume", "--quiet", run["run"]]

    def kill_once(self):
        arguments = self.next_command()
        if arguments is None:
            return
        process = self.world.launch(*arguments)
        delay = self.random.uniform(0, self.reference.seconds * 1.05)
        try:
            process.wait(timeout=delay)
            self.say(f"{arguments[0]} ended by itself with {process.returncode}")
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            self.kills += 1
            self.say(f"{arguments[0]} killed after {delay:.3f} s")

    def decide(self):
        """What a person does: looks at the ledger and says what happened."""
        run_id = self.world.only_run()["run"]
        shown = self.world.shown(run_id)
        tasks = [doubt["task"] for doubt in shown["open"]["doubts"]]
        assert tasks, f"exit code 4 and nothing in doubt: {shown}"
        while self.world.orphans():
            time.sleep(0.01)
        for task in tasks:
            assert task in self.world.shape.rings, f"{task} could have been asked for"
            argument = self.world.shape.rings[task]
            rung = [d for d in self.world.deeds() if d[:2] == ("ring", argument)]
            if rung:
                verdict = ["--done", json.dumps({"deed": "ring", "of": argument})]
            else:
                verdict = ["--retry"]
            self.decisions += 1
            self.say(f"{task} in doubt: {verdict[0]}")
            done = self.world("resolve", run_id, task, *verdict)
            assert done.returncode == 0, done.stdout + done.stderr

    def finish(self):
        for _ in range(MAX_DECISIONS):
            arguments = self.next_command()
            if arguments is None:
                return
            done = self.world(*arguments)
            self.say(f"{arguments[0]} ended with {done.returncode}: {done.stderr[-500:]}")
            if done.returncode == 4:
                self.decide()
        raise AssertionError("it comes to no end")

    def check(self):
        world, reference = self.world, self.reference
        shown = world.shown(world.only_run()["run"])
        assert shown["state"] == ("failed" if world.shape.exit_code else "succeeded"), shown
        entries = world.ledger()
        if world.shape.model:  # near ties may flip, so the words are this run's own
            assert shown["result"] == world.deeds()[-1][1]
            assert [d[0] for d in world.deeds()] == [d[0] for d in reference.deeds]
        else:
            assert shown["result"] == reference.result
            ours, theirs = ([d[:2] for d in deeds] for deeds in (world.deeds(), reference.deeds))
            assert collections.Counter(ours) == collections.Counter(theirs), entries
            if world.shape.in_order:
                assert ours == theirs
        keys = collections.Counter((deed, key) for deed, _, key in world.deeds())
        assert max(keys.values()) == 1, f"done twice: {entries}"
        assert world.files() == reference.files and world.rows() == reference.rows
        again = sum(e["deed"] == "again" for e in entries)
        assert again <= CONCURRENCY * self.kills, f"{again} idempotent calls were made again"
        checked = world("runs", "check")
        assert checked.returncode == 0, checked.stdout + checked.stderr

    def tell(self):
        for _ in range(self.random.choice([1, 1, 2, 3])):
            self.kill_once()
        self.finish()
        self.check()


class Tally:
    def __init__(self, folder):
        self.folder, self.lock = folder, threading.Lock()
        self.references = {}
        self.kills = self.decisions = 0
        self.failures = []

    def reference(self, name):
        with self.lock:
            if name not in self.references:
                self.references[name] = Reference(self.folder / f"reference-{name}", name)
            return self.references[name]

    def live_through(self, seed):
        names = list(kill_shapes.shapes("ledger"))
        name = names[-1] if seed % 10 == 0 else names[seed % (len(names) - 1)]
        history = History(seed, name, self.reference(name), self.folder / str(seed))
        try:
            history.tell()
        except Exception as error:
            self.failures.append(f"SLUICE_KILL_SEED={seed} ({name}) in {history.world.folder}:\n  "
                                 + "\n  ".join(history.said) + f"\n  {type(error).__name__}: {error}")
        with self.lock:
            self.kills += history.kills
            self.decisions += history.decisions


def test_kill_9_at_random_moments(tmp_path):
    one = os.environ.get("SLUICE_KILL_SEED")
    first = int.from_bytes(os.urandom(3), "big") * 10
    seeds = [int(one)] if one else range(first, first + HISTORIES)
    tally = Tally(tmp_path)
    with concurrent.futures.ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        list(pool.map(tally.live_through, seeds))
    print(f"{len(seeds)} histories from seed {seeds[0]}: {tally.kills} kills, "
          f"{tally.decisions} doubts settled by the ledger")
    assert not tally.failures, "\n".join(tally.failures)
    assert one or tally.kills >= HISTORIES * 0.7, f"only {tally.kills} kills hit a living process"
