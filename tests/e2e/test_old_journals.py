"""Journals of every format version so far, made by the first program that wrote it (golden/make.py): this
program lists, shows and checks them, goes on with their runs, and they come to what they would have."""

import json
import pathlib
import shutil

import pytest

GOLDEN = sorted((pathlib.Path(__file__).parent / "golden").glob("*.db"))


def test_there_is_a_golden_journal():
    assert [file.name for file in GOLDEN][:1] == ["v1.db"]


@pytest.fixture(params=GOLDEN, ids=lambda file: file.stem)
def old(request, sluice):
    """The binary on a copy of a golden journal, and what is known of its runs."""
    shutil.copy(request.param, sluice.folder / "journal.db")
    return sluice, json.loads(request.param.with_suffix(".json").read_text())


def test_it_lists_shows_and_checks(old):
    sluice, known = old
    done = sluice("runs", "check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert {run["run"] for run in sluice.runs()} == {run["run"] for run in known}
    for run in known:
        shown = sluice.shown(run["run"])
        if run["name"] in ("succeeded", "failed", "waiting"):
            assert shown["state"] == run["name"]
        exported = sluice("runs", "export", run["run"])
        assert exported.returncode == 0 and exported.stdout.count("\n") == shown["records"]


def test_its_runs_go_on(old):
    sluice, known = old
    for run in known:
        for command in run["commands"]:
            words = [run["run"] if word == "RUN" else word for word in command]
            expected = words.pop() if isinstance(words[-1], int) else None
            if words[0] == "resume":
                words += ["--dir", str(sluice.folder)]
            done = sluice(*words)
            if expected is None:
                expected = 0
            assert done.returncode == expected, f"{words}: {done.stdout}{done.stderr}"
        shown = sluice.shown(run["run"])
        assert shown["ended"] and shown["result"] == run["result"], shown
        replayed = sluice("replay", run["run"])
        assert replayed.returncode == 0, replayed.stdout + replayed.stderr


def test_what_a_run_did_is_not_done_again(old):
    """The finished steps of the run that waits are taken over: `echo` is called for the last one only."""
    sluice, known = old
    run = next(one for one in known if one["name"] == "waiting")
    sluice("signal", run["run"], "go", '"on"')
    done = sluice("resume", run["run"], "--dir", str(sluice.folder), "--json")
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    started = [event for event in events if event.get("event") == "call_started"]
    assert len(started) == 1, started
