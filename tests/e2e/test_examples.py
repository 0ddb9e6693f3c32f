"""The examples run as they stand, on the real model."""

import json
import sqlite3

from conftest import ROOT


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


def test_each_example_checks_without_a_warning(sluice, example):
    for name in ("changes", "lookups", "summarize", "loop"):
        done = sluice("check", example(name) / f"{name}.yaml")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "warning" not in done.stdout + done.stderr, done.stdout + done.stderr
