"""The examples run as they stand, on the real model."""

import json
import os
import random
import sqlite3
import time

from conftest import ROOT, wait_until


def result_of(done):
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_changes_of_the_shipped_sample(sluice, example):
    folder = example("changes")
    out = result_of(sluice("run", folder / "changes.yaml", "--param", "count=6", "--param",
                           "pattern=nowhere/*"))
    assert "carries no change logs" in out
    assert "40 packages" in out
    report = (folder / "out/changes.md").read_text()
    assert "written by a language model and may be wrong" in report
    assert "another Debian 12" in report
    rows = sqlite3.connect(folder / "out/changes.db").execute(
        "select package, version, urgency, day, cve_count, cves, headline from change").fetchall()
    assert len(rows) == 6
    for package, version, urgency, day, cve_count, cves, _ in rows:
        entry = (ROOT / f"examples/changes/sample/{package}.changelog").read_text()
        assert entry.startswith(f"{package} ({version})")
        assert f"urgency={urgency}" in entry.split("\n")[0]
        assert len(cves.split()) == cve_count
        assert all(cve in entry for cve in cves.split())
        assert f"| {package} | {version} | {urgency} | {day} |" in report
    # Some entries are nothing but CVE numbers, and then there is nothing to write a headline of.
    assert sum(1 for row in rows if row[6]) >= 2


def test_changes_of_this_machine(sluice, example):
    folder = example("changes")
    out = result_of(sluice("run", folder / "changes.yaml", "--param", "count=2", timeout=120))
    assert "written by a language model" in out
    assert (folder / "out/changes.md").exists()


def test_lookups(sluice, example):
    out = result_of(sluice("run", example("lookups") / "lookups.yaml"))
    assert "people per km2" in out
    # Whatever countries the model read, the figures are those of the table.
    assert "Japan" in out and "Norway" in out, out
    assert "334.1" in out and "14" in out, out


def test_summarize(sluice, example):
    folder = example("summarize")
    out = result_of(sluice("run", folder / "summarize.yaml", "--param", "pattern=paper.txt"))
    assert "1 documents in" in out and "paper.txt: " in out
    assert "## paper.txt" in (folder / "out/summaries.md").read_text()


def test_loop(sluice, example):
    folder = example("loop")
    out = result_of(sluice("run", folder / "loop.yaml"))
    assert "started at attempt 3 (the machine was busy 2 times)" in out
    assert "finished 4 parts; it was asked 4 times" in out
    assert json.loads((folder / "out/machine.json").read_text())["done"] == 4


def test_changes_killed_at_a_random_moment_and_resumed(sluice, example):
    folder = example("changes")
    job = ["run", folder / "changes.yaml", "--param", "count=6", "--param", "pattern=nowhere/*"]
    begun = time.monotonic()
    result = result_of(sluice(*job))
    seconds = time.monotonic() - begun
    report = (folder / "out/changes.md").read_text()
    (folder / "out/changes.md").unlink()
    seed = int.from_bytes(os.urandom(4), "big")
    moment = random.Random(seed).uniform(0.2, 0.95) * seconds
    process = sluice.start(*job)
    time.sleep(moment)
    process.kill()
    process.communicate()
    print(f"seed {seed}: killed after {moment:.2f} of {seconds:.2f} s")
    run = sluice.runs()[0]
    if run["ended"]:
        again = sluice.shown(run["run"])["result"]
    else:
        again = result_of(sluice("resume", "last"))
    assert again == result
    assert (folder / "out/changes.md").read_text() == report


def test_approval(sluice, example):
    plan = example("approval") / "approval.yaml"
    process = sluice.start("run", plan)
    wait_until(lambda: sluice("approve").stdout)
    asked = sluice("approve").stdout
    assert "Ada" in asked and "Pay 3 orders, 520 in all?" in asked, asked
    process.kill()  # nobody needs to be there
    process.communicate()
    assert not (plan.parent / "out/book.jsonl").exists()
    refused = sluice("signal", "last", "decision", '{"approved": "yes", "by": "Ada"}')
    assert refused.returncode == 3 and "SIGNAL_INVALID" in refused.stderr, refused.stderr
    result_of(sluice("signal", "last", "decision", '{"approved": true, "by": "Ada"}'))
    assert "Ada approved: 3 orders paid, 520 in all" in result_of(sluice("resume", "last"))
    book = [json.loads(line) for line in (plan.parent / "out/book.jsonl").read_text().splitlines()]
    assert sorted(payment["order"] for payment in book) == ["chairs", "lamps", "paper"]


def test_approval_that_nobody_gives(sluice, example):
    plan = example("approval") / "approval.yaml"
    out = result_of(sluice("run", plan, "--param", "patience=100ms"))
    assert "nobody approved: nothing was paid" in out
    assert not (plan.parent / "out/book.jsonl").exists()


def bookings(folder):
    lines = (folder / "out/bookings.jsonl").read_text().splitlines()
    return [(deed["deed"], deed["what"]) for deed in map(json.loads, lines)]


def test_trip(sluice, example):
    folder = example("trip")
    done = sluice("run", folder / "trip.yaml")
    assert done.returncode == 1 and "no car is left" in done.stderr, done.stderr
    assert bookings(folder) == [("booked", "flight"), ("booked", "hotel"), ("cancelled", "hotel"),
                                ("cancelled", "flight")]
    (folder / "out/bookings.jsonl").unlink()
    assert "flight, hotel, car" in result_of(sluice("run", folder / "trip.yaml", "--param", "cars=1"))
    assert bookings(folder) == [("booked", "flight"), ("booked", "hotel"), ("booked", "car")]


def test_each_example_checks_without_a_warning(sluice, example):
    for name in ("approval", "changes", "lookups", "loop", "reviews", "summarize", "totals",
                 "trip"):
        done = sluice("check", example(name) / f"{name}.yaml")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "warning" not in done.stdout + done.stderr, done.stdout + done.stderr


def test_tickets(sluice, example):
    folder = example("tickets")
    out = folder / "answers.jsonl"
    words = ["batch", folder / "tickets.yaml", "--input", folder / "tickets.csv", "--output", out]
    done = sluice(*words, "--json")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    # Of the open ones only; equal messages got the same judgement and the same answer.
    assert rows and {row["id"] for row in rows} <= {1, 3, 4, 5, 7, 8, 10, 11}
    answers = {row["id"]: row["answer"] for row in rows}
    assert answers.get(1) == answers.get(7) and answers.get(4) == answers.get(11)
    assert sluice(*words).returncode != 0  # the output is there


def test_totals(sluice, example):
    plan = example("totals") / "totals.yaml"
    rows = json.loads(result_of(sluice("run", plan)))
    assert rows == [{"sku": "tea", "sales": 2, "pieces": 8, "total": 20.0},
                    {"sku": "bread", "sales": 1, "pieces": 2, "total": 7.0},
                    {"sku": "salt", "sales": 1, "pieces": 4, "total": 0}]
    assert "table from steps.sales.output" in result_of(sluice("explain", plan))


def test_reviews(sluice, example):
    plan = example("reviews") / "reviews.yaml"
    rows = json.loads(result_of(sluice("run", plan)))
    assert {row["product"] for row in rows} <= {"kettle", "lamp", "chair"}
    assert all(row["last"] >= 2024 for row in rows)
    # The model is asked only of what the rest of the table's condition lets through.
    explained = result_of(sluice("explain", plan))
    assert "rows of told are made only where row.year >= params.since" in explained
    assert json.loads(result_of(sluice("run", plan, "--no-optimize"))) == rows
