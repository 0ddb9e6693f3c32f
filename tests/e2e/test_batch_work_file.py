"""What a batch keeps on disk: the work file of a run that stopped, files of the user beside the output, links."""

import csv
import os
import shutil
import signal
import sqlite3
import time

import pytest

from conftest import run_id_in, wait_until
from test_batch import PLAN, SLOW, good, json_lines, numbered, refused

# Rows with a result, without one, that fail, and with text of any kind.
MIXED = """sluice: 1
params: {n: {type: integer}, text: {type: string}}
tools:
  note: {kind: process, stdout: json, effect: once,
         command: [sh, -c, 'echo "$1" >> noted; printf %s "$1"', sh]}
steps:
  a: {tool: note, with: {args: ["{{ params.n }}"]}}
  bad: {value: "{{ 1 // (params.n % 10 - 7) }}"}
result: "{{ none if params.n % 10 == 8 else {'n': steps.a.output, 'text': params.text, 'bad': steps.bad.output} }}"
"""


def noted(sluice):
    file = sluice.folder / "noted"
    return file.read_text().split() if file.exists() else []


def part(sluice, output="out.csv"):
    return sluice.folder / f"{output}.part"


def remove_part(sluice, output="out.csv"):
    for end in ("", "-wal", "-shm", "-journal"):
        (sluice.folder / f"{output}.part{end}").unlink(missing_ok=True)


def rows_of(sluice, output="out.csv"):
    with open(sluice.folder / output, newline="") as text:
        return list(csv.DictReader(text))


def killed(sluice, words, rows, signal_=signal.SIGKILL, since=0):
    """Starts it and ends it when that many rows were noted."""
    process = sluice.start(*words)
    wait_until(lambda: len(noted(sluice)) >= since + rows)
    process.send_signal(signal_)
    process.communicate()


def begun_batch(sluice, count=200, rows=40):
    """A batch that was killed after some rows: its run and how it was started."""
    sluice.write("in.csv", numbered(count))
    sluice.write("plan.yaml", SLOW)
    words = ("batch", "plan.yaml", "--input", "in.csv", "--output", "out.csv")
    killed(sluice, words, rows)
    return sluice.runs()[0]["run"], words


def in_work_file(sluice, output="out.csv"):
    database = sqlite3.connect(f"file:{part(sluice, output)}?mode=ro", uri=True)
    try:
        return database.execute("select count(*) from result").fetchone()[0]
    finally:
        database.close()


# ---- whose work file it is

@pytest.mark.parametrize("output_is_there", [False, True])
def test_only_force_removes_the_work_file_of_a_run(sluice, output_is_there):
    run, words = begun_batch(sluice)
    if output_is_there:
        sluice.write("out.csv", "mine\n")
    sluice.write("broken.db", "no database at all\n" * 100)
    kept = in_work_file(sluice)
    assert kept > 0
    refused(sluice(*words), 3, f"sluice resume {run}", "--force")
    refused(sluice(*words, "--no-journal"), 3, run, "sluice resume", "--force")
    refused(sluice(*words, "--journal", "other.db"), 3, run, "other.db", "--force")
    assert sluice(*words, "--journal", "broken.db").returncode in (1, 3)
    assert in_work_file(sluice) == kept
    before = len(noted(sluice))
    if output_is_there:
        assert (sluice.folder / "out.csv").read_text() == "mine\n"
    good(sluice("resume", run))
    assert [row["n"] for row in rows_of(sluice)] == [str(i) for i in range(200)]
    assert len(noted(sluice)) - before <= 200 - kept, "what was kept was not done again"


def test_force_begins_anew(sluice):
    run, words = begun_batch(sluice)
    good(sluice(*words, "--force", "--no-journal"))
    assert len(rows_of(sluice)) == 200 and not part(sluice).exists()
    refused(sluice("resume", run), 3, "RUN_CHANGED", "out.csv")


def test_force_removes_nothing_before_the_batch_can_begin(sluice):
    run, words = begun_batch(sluice)
    kept = in_work_file(sluice)
    refused(sluice(*words, "--force", "--budget", "euro=5"), 3, "usd=5")
    refused(sluice("batch", "none.yaml", *words[2:], "--force"), 3, "none.yaml")
    (sluice.folder / "wrong.csv").write_text("n\n1,2\n")
    assert sluice("batch", "plan.yaml", "--input", "wrong.csv", "--output", "out.csv", "--force").returncode == 3
    assert in_work_file(sluice) == kept
    good(sluice("resume", run))


def test_what_an_ended_run_left_is_in_nobodys_way(sluice):
    run, words = begun_batch(sluice)
    good(sluice("cancel", run))
    assert part(sluice).exists()
    good(sluice(*words))
    assert len(rows_of(sluice)) == 200 and not part(sluice).exists()


# ---- a work file that is gone

@pytest.mark.parametrize("more", [(), ("--with-input",), ("--keep-null", "--unordered")])
def test_a_work_file_that_is_gone_is_made_again_from_the_journal(sluice, more):
    count = 120
    table = "n,text,id\n" + "".join(f'{i},"t, ""{i}"" \u00e4",{1000 + i}\n' for i in range(count))
    sluice.write("in.csv", table)
    sluice.write("plan.yaml", MIXED)
    words = ("batch", "plan.yaml", "--input", "in.csv", *more, "--output")
    good(sluice(*words, "whole.csv"))
    (sluice.folder / "noted").unlink()
    good(sluice(*words, "out.csv", "--sample", 50, "--estimate", "--concurrency", 4))
    run = sluice.runs()[0]["run"]
    assert len(noted(sluice)) == 50 and in_work_file(sluice) == 50
    remove_part(sluice)
    done = good(sluice("resume", run))
    assert "out.csv.part" in done.stderr and "50 rows" in done.stderr, done.stderr
    assert sorted(map(int, noted(sluice))) == list(range(count)), "each row was done once"
    if "--unordered" in more:
        assert sorted(map(str, rows_of(sluice))) == sorted(map(str, rows_of(sluice, "whole.csv")))
    else:
        assert (sluice.folder / "out.csv").read_bytes() == (sluice.folder / "whole.csv").read_bytes()
    assert not part(sluice).exists()


def test_a_killed_batch_without_its_work_file_goes_on(sluice):
    run, _ = begun_batch(sluice)
    remove_part(sluice)
    # And killed once more, just after.
    killed(sluice, ("resume", run), 20, since=len(noted(sluice)))
    remove_part(sluice)
    good(sluice("resume", run))
    assert [(row["n"], row["noted"]) for row in rows_of(sluice)] == [(str(i), str(i)) for i in range(200)]
    good(sluice("replay", run))


def test_an_older_copy_of_the_work_file_is_filled_up(sluice):
    run, _ = begun_batch(sluice, rows=20)
    held = sqlite3.connect(part(sluice))  # what is in its log too
    held.execute("pragma wal_checkpoint(truncate)")
    held.close()
    shutil.copy(part(sluice), sluice.folder / "copy")
    old = in_work_file(sluice)
    killed(sluice, ("resume", run), 60, since=len(noted(sluice)))
    assert in_work_file(sluice) > old
    remove_part(sluice)
    shutil.copy(sluice.folder / "copy", part(sluice))
    good(sluice("resume", run))
    assert [row["n"] for row in rows_of(sluice)] == [str(i) for i in range(200)]


def test_a_resume_that_cannot_keep_its_rows_does_none(sluice):
    run, words = begun_batch(sluice)
    before = noted(sluice)
    # Another run's results lie in its place.
    remove_part(sluice)
    (sluice.folder / "noted").rename(sluice.folder / "noted.first")
    killed(sluice, words, 10)
    other = sluice.runs()[0]["run"]
    assert other != run
    seen = noted(sluice)
    refused(sluice("resume", run), 3, "RUN_CHANGED", f"results of run {other}", "out.csv.part")
    # Something else does.
    shutil.move(part(sluice), sluice.folder / "aside")
    remove_part(sluice)
    part(sluice).write_text("my notes\n" * 300)
    refused(sluice("resume", run), 3, "out.csv.part", "move it away")
    part(sluice).unlink()
    part(sluice).mkdir()
    assert sluice("resume", run).returncode in (1, 3)
    part(sluice).rmdir()
    assert noted(sluice) == seen, "no row was done in vain"
    good(sluice("resume", run))
    assert [row["n"] for row in rows_of(sluice)] == [str(i) for i in range(200)]
    assert len(noted(sluice)) - len(seen) + len(before) < 260, "what was done was not done again"


def test_a_batch_whose_work_file_is_gone_can_be_cancelled(sluice):
    run, words = begun_batch(sluice)
    remove_part(sluice)
    good(sluice("cancel", run))
    good(sluice(*words))


def test_a_batch_that_was_tidied_up_before_its_end_needs_no_work_file(sluice):
    """Killed at any moment near its end, also between removing the work file and its end."""
    sluice.write("in.csv", numbered(30))
    sluice.write("plan.yaml", PLAN)
    words = ("batch", "plan.yaml", "--input", "in.csv", "--output", "out.jsonl", "--force")
    for wait_ms in range(0, 60, 4):
        (sluice.folder / "out.jsonl").unlink(missing_ok=True)
        process = sluice.start(*words)
        wait_until(lambda: (sluice.folder / "out.jsonl").exists())
        time.sleep(wait_ms / 1000)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        done = sluice("resume", "last")
        assert done.returncode == 0 or "ended" in done.stderr, done.stderr
        assert [row["n"] for row in json_lines(sluice)] == list(range(30))


def test_a_fork_writes_all_rows(sluice):
    """What a fork takes over has to be in its output too."""
    sluice.write("in.csv", numbered(20))
    sluice.write("plan.yaml", PLAN)
    good(sluice("batch", "plan.yaml", "--input", "in.csv", "--output", "out.jsonl"))
    whole = json_lines(sluice)
    run = sluice.runs()[0]["run"]
    for step in ("row", "put", "finish", "tidy"):
        done = sluice("fork", run, "--from", step)
        if done.returncode != 0:
            assert "begin anew" in done.stderr or "batch" in done.stderr, done.stderr
        assert json_lines(sluice) == whole, f"{step}: {done.stderr}"


# ---- another input

def test_rows_that_were_read_and_are_others_now(sluice):
    sluice.write("in.csv", numbered(2000))
    sluice.write("plan.yaml", SLOW)
    words = ("batch", "plan.yaml", "--input", "in.csv", "--output", "out.csv")
    killed(sluice, words, 250)
    seen = len(noted(sluice))
    sluice.write("in.csv", "n\n" + "".join(f"{i + 5000}\n" for i in range(2000)))
    refused(sluice("resume", "last"), 3, "RUN_CHANGED", "--accept-changes")
    assert len(noted(sluice)) == seen
    done = sluice("resume", "last", "--accept-changes")
    refused(done, 1, "STREAM_CHANGED")
    assert not (sluice.folder / "out.csv").exists()


def test_rows_that_were_not_read_yet_may_be_others(sluice):
    sluice.write("in.csv", numbered(60))
    sluice.write("plan.yaml", SLOW)
    good(sluice("batch", "plan.yaml", "--input", "in.csv", "--output", "out.csv", "--sample", 20, "--estimate"))
    sluice.write("in.csv", numbered(20) + "".join(f"{i + 5000}\n" for i in range(20, 70)))
    refused(sluice("resume", "last"), 3, "RUN_CHANGED", "in.csv had")
    good(sluice("resume", "last", "--accept-changes"))
    assert [int(row["n"]) for row in rows_of(sluice)] == [*range(20), *range(5020, 5070)]


def test_rows_in_a_databases_log_are_seen(sluice):
    database = sqlite3.connect(sluice.folder / "app.db")
    database.execute("pragma journal_mode = wal")
    database.execute("pragma wal_autocheckpoint = 0")
    database.execute("create table item (n integer)")
    database.executemany("insert into item values (?)", [(i,) for i in range(60)])
    database.commit()
    sluice.write("plan.yaml", SLOW)
    good(sluice("batch", "plan.yaml", "--input", "app.db", "--output", "out.csv", "--sample", 20, "--estimate"))
    database.execute("update item set n = n + 5000 where n >= 30")
    database.commit()
    refused(sluice("resume", "last"), 3, "RUN_CHANGED", "app.db")
    good(sluice("resume", "last", "--accept-changes"))
    database.close()


# ---- files of the user

@pytest.mark.parametrize("output", ["out.csv", "out.jsonl", "out.db"])
def test_files_beside_the_output_are_left_alone(sluice, output):
    mine = [f"{output}.new{end}" for end in ("", "-journal", "-wal", "-shm")]
    for name in mine:
        sluice.write(name, f"{name} is mine\n")
    sluice.write("in.csv", numbered(3))
    sluice.write("plan.yaml", PLAN)
    for more in ((), ("--force",)):
        good(sluice("batch", "plan.yaml", "--input", "in.csv", "--output", output, *more))
        for name in mine:
            assert (sluice.folder / name).read_text() == f"{name} is mine\n"
    left = {path.name for path in sluice.folder.iterdir() if path.name.startswith(output)}
    assert left == {output, *mine}


def test_a_half_written_output_of_a_killed_run_is_not_left(sluice):
    sluice.write("in.csv", "n,text\n" + "".join(f"{i},{'x' * 3000}\n" for i in range(4000)))
    sluice.write("plan.yaml", "sluice: 1\nparams: {n: {type: integer}, text: {type: string}}\nsteps: {}\n"
                              "result: {n: '{{ params.n }}', text: '{{ params.text }}'}\n")
    words = ("batch", "plan.yaml", "--input", "in.csv", "--output", "out.csv")
    names = lambda: {path.name for path in sluice.folder.iterdir() if path.name.startswith("out.csv")}
    process = sluice.start(*words)
    wait_until(lambda: any(name.endswith(".new") for name in names()) or process.poll() is not None, 60)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    if any(name.endswith(".new") for name in names()):
        good(sluice("resume", "last"))
    assert names() == {"out.csv"} and len(rows_of(sluice)) == 4000


# ---- links

@pytest.mark.parametrize("output, there", [("out.csv", True), ("out.csv", False), ("out.db", True),
                                           ("out.db", False)])
def test_an_output_that_is_a_link_is_written_where_it_points(sluice, output, there):
    (sluice.folder / "far").mkdir()
    target = sluice.folder / "far" / output
    if there and output == "out.csv":
        target.write_text("old\n")
    elif there:
        database = sqlite3.connect(target)
        database.execute("create table other (a)")
        database.commit()
        database.close()
    (sluice.folder / "near").symlink_to("far")
    (sluice.folder / output).symlink_to(f"near/{output}")
    sluice.write("in.csv", numbered(3))
    sluice.write("plan.yaml", PLAN)
    words = ("batch", "plan.yaml", "--input", "in.csv", "--output", output)
    if there and output == "out.csv":
        refused(sluice(*words), 3, "out.csv is there already")
    good(sluice(*words, "--force"))
    assert (sluice.folder / output).is_symlink(), "still a link"
    assert target.is_file() and not target.is_symlink()
    if output == "out.csv":
        assert [row["n"] for row in rows_of(sluice, "far/out.csv")] == ["0", "1", "2"]
    else:
        database = sqlite3.connect(target)
        assert database.execute("select count(*) from result").fetchone() == (3,)
        assert database.execute("select count(*) from sqlite_master where name = 'other'").fetchone() == (int(there),)
        database.close()
    assert os.listdir(sluice.folder / "far") == [output]


def test_a_link_that_leads_nowhere(sluice):
    sluice.write("in.csv", numbered(3))
    sluice.write("plan.yaml", PLAN)
    words = ("batch", "plan.yaml", "--input", "in.csv", "--output", "out.csv")
    (sluice.folder / "out.csv").symlink_to("out.csv")
    refused(sluice(*words, "--force"), 1, "out.csv")
    (sluice.folder / "out.csv").unlink()
    (sluice.folder / "out.csv").symlink_to("none/out.csv")
    refused(sluice(*words), 1, "there is no folder", "none")
    (sluice.folder / "out.csv").unlink()
    (sluice.folder / "out.csv").symlink_to("in.csv")
    refused(sluice(*words, "--force"), 3, "the output is the input")
    (sluice.folder / "out.csv").unlink()
    (sluice.folder / "out.csv").symlink_to("/dev/stdout")
    refused(sluice(*words, "--force"), 3, "no regular file")


def test_a_killed_batch_behind_a_link_goes_on(sluice):
    (sluice.folder / "far").mkdir()
    (sluice.folder / "out.csv").symlink_to("far/real.csv")
    run, words = begun_batch(sluice, count=100)
    assert (sluice.folder / "far" / "real.csv.part").exists()
    refused(sluice(*words), 3, f"sluice resume {run}")
    good(sluice("resume", run))
    assert (sluice.folder / "out.csv").is_symlink() and len(rows_of(sluice)) == 100


# ---- what the process ends with

def test_rows_that_are_left_are_told_to_whoever_called(sluice):
    sluice.write("in.csv", numbered(60))
    sluice.write("plan.yaml", SLOW)
    words = ("batch", "plan.yaml", "--input", "in.csv", "--output", "out.csv")
    done = refused(sluice(*words, "--sample", 5), 4, "sample: 5 of 60 rows", "sluice resume")
    assert not (sluice.folder / "out.csv").exists()
    good(sluice("resume", run_id_in(done.stderr)))
    assert len(rows_of(sluice)) == 60
    good(sluice(*words, "--sample", 5, "--estimate", "--force"))
    good(sluice(*words, "--sample", 60, "--force"))
    assert "rows behind a sample" in sluice("--help").stdout
