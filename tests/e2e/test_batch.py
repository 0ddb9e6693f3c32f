"""`sluice batch` with the real binary: tables in and out, awkward files, rows that fail, processes that die."""

import csv
import io
import json
import os
import random
import re
import resource
import signal
import sqlite3

import pytest

from conftest import run_id_in, wait_until
from test_store_faults import has_disks, resize, small_disk

PLAN = """sluice: 1
params: {n: {type: integer}, text: {type: string, default: ""}}
steps:
  size: {value: "{{ params.text | length }}"}
result: {n: "{{ params.n }}", double: "{{ params.n * 2 }}", size: "{{ steps.size.output }}"}
"""

# Rows of 7 fail, rows of 8 give nothing.
PICKY = """sluice: 1
params: {n: {type: integer}}
steps:
  bad: {value: "{{ 1 // (params.n - 7) }}"}
result: "{{ none if params.n == 8 else {'n': params.n, 'bad': steps.bad.output} }}"
"""

SLOW = """sluice: 1
params: {n: {type: integer}}
tools:
  note: {kind: process, stdout: text, effect: idempotent,
         command: [sh, -c, 'echo "$1" >> noted; sleep 0.02; printf %s "$1"', sh]}
steps:
  a: {tool: note, with: {args: ["{{ params.n }}"]}}
result: {n: "{{ params.n }}", noted: "{{ steps.a.output }}"}
"""


def batch(sluice, plan, rows, *arguments, name="in.csv", output="out.jsonl", **options):
    if isinstance(rows, bytes):
        (sluice.folder / name).write_bytes(rows)
    else:
        sluice.write(name, rows)
    return sluice("batch", sluice.write("plan.yaml", plan), "--input", name, "--output", output,
                  *arguments, **options)


def good(done):
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def refused(done, code, *words):
    assert done.returncode == code, f"{done.returncode}: {done.stdout}{done.stderr}"
    for word in words:
        assert word in done.stderr, done.stderr
    return done


def json_lines(sluice, name="out.jsonl"):
    return [json.loads(line) for line in (sluice.folder / name).read_text().splitlines()]


def files(sluice):
    return {path.name for path in sluice.folder.iterdir() if not path.name.startswith("journal")}


def numbered(count):
    return "n\n" + "".join(f"{i}\n" for i in range(count))


def test_ten_thousand_rows(sluice):
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(["n", "text", "other"])
    for i in range(10_000):
        rows.writerow([i, f"line {i}\n\"quoted\", and more", "x"])
    done = good(batch(sluice, PLAN, text.getvalue()))
    assert "10,000 rows in, 10,000 written to" in done.stderr
    assert "does not use the column other" in done.stderr
    out = json_lines(sluice)
    assert [row["n"] for row in out] == list(range(10_000))
    assert out[77] == {"n": 77, "double": 154, "size": len("line 77\n\"quoted\", and more")}
    assert files(sluice) == {"plan.yaml", "in.csv", "out.jsonl"}


def test_sqlite_in_and_out(sluice):
    database = sqlite3.connect(sluice.folder / "app.db")
    database.execute("create table item (id integer, label text)")
    database.executemany("insert into item values (?, ?)", [(i, f"item {i}") for i in range(50)])
    database.commit()
    database.close()
    sluice.write("plan.yaml", PLAN)
    query = "select id as n, label as text from item where id % 2 = 0 order by id desc"
    good(sluice("batch", "plan.yaml", "--input", "app.db", "--query", query, "--output", "out.db",
                "--table", "scored"))
    out = sqlite3.connect(sluice.folder / "out.db")
    rows = out.execute("select n, double, size from scored").fetchall()
    assert rows == [(i, 2 * i, len(f"item {i}")) for i in range(48, -1, -2)]
    # Another table of the same file is no output that exists.
    good(sluice("batch", "plan.yaml", "--input", "app.db", "--query", query, "--output", "out.db",
                "--table", "again", "--limit", 3))
    assert out.execute("select count(*) from again").fetchone() == (3,)
    assert out.execute("select count(*) from scored").fetchone() == (25,)
    refused(sluice("batch", "plan.yaml", "--input", "app.db", "--query", query, "--output", "out.db",
                   "--table", "again"), 3, "the table again of out.db is there already")
    refused(sluice("batch", "plan.yaml", "--input", "app.db", "--output", "o.csv"), 2,
            "no column for the parameter n; its columns are id, label")


@pytest.mark.parametrize("rows, words", [
    (b"n,text\n1,a\n2\n3,c\n", ["in.csv: line 3: 1 cell, the header has 2"]),
    (b"n,text\n1,Caf\xe9\n", ["in.csv: line 2 is not UTF-8", "0xE9 behind 'Caf'", "iconv -f latin1"]),
    (b"n,text\n1,\"a\n", ["line 2: a quoted cell is never closed"]),
    (b"n,n\n1,2\n", ["two columns are called 'n'"]),
    ("n,text\n1,a\n".encode("utf-16"), ["UTF-16"]),
    (b"m,text\n1,a\n", []),
])
def test_wrong_tables_are_refused_before_anything_runs(sluice, rows, words):
    done = batch(sluice, PLAN, rows)
    assert done.returncode in (2, 3), done.stderr
    for word in words or ["no column for the parameter n; its columns are m, text"]:
        assert word in done.stderr, done.stderr
    assert files(sluice) == {"plan.yaml", "in.csv"}
    assert sluice.runs() == []


def test_byte_order_mark_and_windows_line_ends(sluice):
    good(batch(sluice, PLAN, b"\xef\xbb\xbfn,text\r\n1,ab\r\n2,\r\n"))
    assert json_lines(sluice) == [{"n": 1, "double": 2, "size": 2}, {"n": 2, "double": 4, "size": 0}]


@pytest.mark.parametrize("name, rows", [("in.csv", ""), ("in.csv", "n,text\n"), ("in.jsonl", ""),
                                        ("in.jsonl", "\n\n")])
def test_empty_tables(sluice, name, rows):
    done = good(batch(sluice, PLAN, rows, name=name))
    assert "has no rows" in done.stderr
    assert (sluice.folder / "out.jsonl").read_text() == ""


def test_rows_that_fail_and_rows_that_give_nothing(sluice):
    done = good(batch(sluice, PICKY, numbered(10), output="out.csv"))
    assert "10 rows in, 9 written to" in done.stderr and "1 of them with an error" in done.stderr
    assert "row 8: bad failed: " in done.stderr
    with open(sluice.folder / "out.csv", newline="") as text:
        rows = list(csv.DictReader(text))
    assert list(rows[0]) == ["n", "bad", "error"]
    assert [row["n"] for row in rows] == ["0", "1", "2", "3", "4", "5", "6", "", "9"]
    assert rows[7]["error"].startswith("row 8: bad failed")
    done = good(batch(sluice, PICKY, "id,n\na,7\nb,8\n", "--with-input", "--keep-null", "--force",
                      output="out.csv"))
    with open(sluice.folder / "out.csv", newline="") as text:
        rows = list(csv.DictReader(text))
    assert [(row["id"], row["n"]) for row in rows] == [("a", "7"), ("b", "8")]


def test_every_row_fails(sluice):
    done = batch(sluice, PICKY, "n\n7\n7\n")
    assert done.returncode == 1 and "every row failed" in done.stderr, done.stderr
    assert len(json_lines(sluice)) == 2


def test_existing_output(sluice):
    sluice.write("out.jsonl", "mine\n")
    refused(batch(sluice, PLAN, "n\n1\n"), 3, "out.jsonl is there already", "--force")
    assert (sluice.folder / "out.jsonl").read_text() == "mine\n"
    good(batch(sluice, PLAN, "n\n1\n", "--force"))
    assert len(json_lines(sluice)) == 1
    refused(batch(sluice, PLAN, "n\n1\n", output="in.csv"), 3, "the output is the input")
    refused(batch(sluice, PLAN, "n\n1\n", output="none/out.csv"), 1, "there is no folder")
    refused(batch(sluice, PLAN, "n\n1\n", output="out.xlsx"), 3, "out.xlsx")


def test_usage(sluice):
    refused(batch(sluice, PLAN, "n\n1\n", "--estimate"), 3, "--sample")
    refused(batch(sluice, PLAN, "n\n1\n", "--budget", "euro=5"), 3, "usd=5")
    refused(batch(sluice, PLAN, "n\n1\n", "--param", "m=1"), 2, "no parameter m")
    refused(batch(sluice, PLAN, "n\n1\n", "--query", "select 1"), 3, "SQLite")
    refused(sluice("batch", "plan.yaml", "--input", "none.csv", "--output", "o.csv"), 3, "none.csv")


def test_killed_and_resumed(sluice):
    process = None
    sluice.write("in.csv", numbered(200))
    sluice.write("plan.yaml", SLOW)
    words = ("batch", "plan.yaml", "--input", "in.csv", "--output", "out.csv")
    noted = sluice.folder / "noted"
    process = sluice.start(*words)
    wait_until(lambda: noted.exists() and len(noted.read_text().split()) > 40)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert "out.csv" not in files(sluice) and "out.csv.part" in files(sluice)
    run_id = sluice.runs()[0]["run"]
    # The same batch again tells how to go on with what there is.
    refused(sluice(*words), 3, f"sluice resume {run_id}", "--force")
    good(sluice("resume", run_id))
    with open(sluice.folder / "out.csv", newline="") as text:
        rows = [(row["n"], row["noted"]) for row in csv.DictReader(text)]
    assert rows == [(str(i), str(i)) for i in range(200)], "each row once, in its order"
    assert files(sluice) == {"plan.yaml", "in.csv", "out.csv", "noted"}
    # The same run without a crash gives the same bytes.
    first = (sluice.folder / "out.csv").read_bytes()
    good(sluice(*words[:-1], "other.csv"))
    assert (sluice.folder / "other.csv").read_bytes() == first


def test_changed_input_is_not_resumed(sluice):
    sluice.write("in.csv", numbered(300))
    sluice.write("plan.yaml", SLOW)
    process = sluice.start("batch", "plan.yaml", "--input", "in.csv", "--output", "out.csv")
    wait_until(lambda: (sluice.folder / "noted").exists())
    process.send_signal(signal.SIGKILL)
    process.communicate()
    sluice.write("in.csv", numbered(301))
    refused(sluice("resume", "last"), 3, "RUN_CHANGED", "in.csv had", "bytes and has")


def test_interrupted_by_a_person(sluice):
    sluice.write("in.csv", numbered(300))
    sluice.write("plan.yaml", SLOW)
    process = sluice.start("batch", "plan.yaml", "--input", "in.csv", "--output", "out.csv")
    wait_until(lambda: (sluice.folder / "noted").exists())
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    left = re.search(rb"next: sluice resume \S+   \(the other (\d+) of 300 rows\)", err)
    assert left and int(left[1]) > 200, err
    good(sluice("resume", "last"))
    assert sum(1 for _ in open(sluice.folder / "out.csv")) == 301


def test_sample_and_estimate(sluice):
    done = good(batch(sluice, SLOW, numbered(60), "--sample", 5, "--estimate"))
    assert "sample: 5 of 60 rows" in done.stderr and "all 60 rows: about" in done.stderr
    assert f"sluice resume {run_id_in(done.stderr)}" in done.stderr
    assert len((sluice.folder / "noted").read_text().split()) == 5, "only the sample was done"
    assert "out.jsonl" not in files(sluice)
    good(sluice("resume", "last"))
    assert len(json_lines(sluice)) == 60
    assert len((sluice.folder / "noted").read_text().split()) == 60, "the sample was not done again"
    done = good(batch(sluice, SLOW, numbered(8), "--sample", 5, "--estimate", "--json", output="o.csv"))
    events = [json.loads(line) for line in done.stdout.splitlines()]
    estimate = [event for event in events if event["event"] == "estimate"]
    assert estimate and estimate[0]["rows"] == 8 and estimate[0]["all"]["seconds"]["middle"] > 0


def test_a_sample_as_large_as_the_table_is_all_of_it(sluice):
    good(batch(sluice, PLAN, "n\n1\n2\n", "--sample", 20, "--estimate"))
    assert len(json_lines(sluice)) == 2


def test_a_sample_that_fails_in_every_row_stops(sluice):
    done = batch(sluice, PICKY, "n\n" + "7\n" * 30, "--sample", 4, "--estimate")
    assert done.returncode == 1, done.stderr
    assert "all 4 rows of the sample failed" in done.stderr and "row 1: bad failed" in done.stderr
    assert "out.jsonl" not in files(sluice)


def test_no_room(sluice, tmp_path):
    """The run stops before the full disk, and goes on when there is room."""
    if not has_disks(tmp_path):
        pytest.skip("no file system can be mounted here")
    big = """sluice: 1
params: {n: {type: integer}}
tools:
  random: {kind: sql}
steps:
  bulk: {tool: random.query, with: {sql: "select hex(randomblob(2000)) as bytes"}}
result: {n: "{{ params.n }}", bytes: "{{ steps.bulk.output[0].bytes }}"}
"""
    with small_disk(sluice.folder / "disk", "600k") as disk:
        done = batch(sluice, big, numbered(200), output="disk/out.csv", timeout=60)
        assert done.returncode == 130, done.stdout + done.stderr
        assert "no room" in done.stderr and "sluice resume" in done.stderr
        assert not (disk / "out.csv").exists(), "nothing half-written"
        resize(disk, 0, "20m")
        good(sluice("resume", "last"))
        with open(disk / "out.csv", newline="") as text:
            assert [row["n"] for row in csv.DictReader(text)] == [str(i) for i in range(200)]


def test_unordered_has_the_same_rows(sluice):
    good(batch(sluice, PLAN, numbered(500), "--unordered"))
    assert sorted(row["n"] for row in json_lines(sluice)) == list(range(500))


def test_columns_are_read_as_their_parameters_want_them(sluice):
    plan = """sluice: 1
params:
  i: {type: integer}
  x: {type: number, default: 0.5}
  b: {type: boolean}
  l: {type: array, items: {type: string}}
  s: {type: string}
steps: {}
result: {i: "{{ params.i }}", x: "{{ params.x }}", b: "{{ params.b }}", l: "{{ params.l }}", s: "{{ params.s }}"}
"""
    good(batch(sluice, plan, 'i,x,b,l,s\n1,2.5,TRUE,"[""a"",""b""]",007\n2,,false,[],\n'))
    assert json_lines(sluice) == [
        {"i": 1, "x": 2.5, "b": True, "l": ["a", "b"], "s": "007"},
        {"i": 2, "x": 0.5, "b": False, "l": [], "s": ""}]


def test_random_tables_come_through_unchanged(sluice):
    echo = """sluice: 1
params: {a: {type: string}, b: {type: string}}
steps: {}
result: {a: "{{ params.a }}", b: "{{ params.b }}"}
"""
    chance = random.Random(7)
    letters = ["a", "\"", ",", "\n", "\r\n", " ", "{{", "}}", "{%", "\u00e4", "\U0001f642", "x" * 300, ""]
    rows = [["".join(chance.choices(letters, k=chance.randrange(6))) for _ in range(2)]
            for _ in range(400)]
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["a", "b"])
    table.writerows(rows)
    good(batch(sluice, echo, text.getvalue().encode(), output="out.csv"))
    with open(sluice.folder / "out.csv", newline="") as out:
        assert list(csv.reader(out)) == [["a", "b"], *rows]
    good(sluice("batch", "plan.yaml", "--input", "out.csv", "--output", "out.jsonl"))
    assert json_lines(sluice) == [{"a": a, "b": b} for a, b in rows]


def test_with_the_real_model(sluice):
    plan = """sluice: 1
params: {word: {type: string}}
steps:
  ask:
    llm: default
    with: {prompt: "Say a word that goes with {{ params.word }}:", max_tokens: 4}
result: {word: "{{ params.word }}", answer: "{{ steps.ask.output }}"}
"""
    done = good(batch(sluice, plan, "word\nsea\nsky\nsea\n", "--sample", 1, "--estimate"))
    assert "tokens (" in done.stderr
    good(sluice("resume", "last"))
    rows = json_lines(sluice)
    assert [row["word"] for row in rows] == ["sea", "sky", "sea"]
    assert rows[0]["answer"] == rows[2]["answer"] and all(row["answer"] for row in rows)
    trees = "word\n" + "".join(f"tree{n}\n" for n in range(40))
    done = batch(sluice, plan, trees, "--budget", "tokens=60", "--force", "--concurrency", 1)
    assert done.returncode == 4 and "before its budget is exceeded" in done.stderr, done.stderr


# What nobody knows before: the first question keeps nearly all rows, the second one row in ten.
CHOOSY = """sluice: 1
params: {n: {type: integer}}
tools:
  db: {kind: sql, database: data.db, functions: {query: {effect: pure}}}
steps:
  first: {tool: db.query, with: {sql: "select ? % 50 < 49 as yes", args: ["{{ params.n }}"]}}
  second: {tool: db.query, with: {sql: "select ? % 10 = 0 as yes", args: ["{{ params.n }}"]}}
  keep:
    when: "{{ steps.first.output[0].yes == 1 and steps.second.output[0].yes == 1 }}"
    value: "{{ params.n }}"
result: {kept: "{{ steps.keep.output }}"}
"""


def calls_by_step(done):
    calls = {}
    for line in done.stdout.splitlines():
        event = json.loads(line)
        if event.get("event") == "call_ended" and not event.get("cached"):
            calls[event["step"]] = calls.get(event["step"], 0) + 1
    return calls


def choosy(sluice, rows, *arguments, **options):
    return good(batch(sluice, CHOOSY, numbered(rows), "--json", "--without", "reuse_results", "--force",
                      *arguments, **options))


def test_later_rows_are_done_otherwise_than_the_first_ones(sluice):
    rows = 1000
    as_begun = choosy(sluice, rows, "--without", "adapt", env={"SLUICE_CACHE": str(sluice.folder / "one")})
    kept = json_lines(sluice)
    assert "replanned" not in as_begun.stdout
    done = choosy(sluice, rows, env={"SLUICE_CACHE": str(sluice.folder / "other")})
    assert json_lines(sluice) == kept, "the same rows, whatever was asked first"
    assert sum(1 for row in kept if row["kept"] is not None) == 100
    before, after = calls_by_step(as_begun), calls_by_step(done)
    assert before["first"] + before["second"] > 1900
    assert after["first"] + after["second"] < 1500, (before, after)
    replanned = [json.loads(line) for line in done.stdout.splitlines() if '"replanned"' in line]
    assert len(replanned) >= 1 and replanned[0]["from_item"] >= 16, replanned
    assert "holds for" in replanned[0]["why"], replanned
    run = json.loads(done.stdout.splitlines()[0])["run"]
    good(sluice("replay", run))
    shown = good(sluice("runs", "show", run)).stdout
    steps = [line.split()[0] for line in shown.splitlines() if line.startswith("  ")]
    assert steps.count("first") == 1 and steps.count("second") == 1, shown
    assert "row planned anew: rows from " in shown, shown
    assert ": second -> first instead of first -> second, decided at " in shown, shown
    told = json.loads(good(sluice("runs", "show", run, "--json")).stdout)["replans"]
    assert [each["from_item"] for each in told] == [each["from_item"] for each in replanned]
    assert [each["why"] for each in told] == [each["why"] for each in replanned]
    assert told[0]["before"] == "first -> second" and told[0]["after"] == "second -> first"
    assert told[0]["step"] == "row" and told[0]["at_ms"] == replanned[0]["at_ms"]
    # Each step stands once in what is explained, with what all forms did.
    explained = json.loads(good(sluice("explain", "--analyze", run, "--format", "json")).stdout)
    ids = [step["step"] for step in explained["steps"]]
    assert len(ids) == len(set(ids)), ids
    actual = {step["step"]: step["actual"] for step in explained["steps"]}
    assert {name: actual["row/" + name]["calls"] for name in ("first", "second")} == {
        name: after[name] for name in ("first", "second")}
    assert actual["row/first"]["rows"] == actual["row/second"]["rows"] == rows
    assert explained["run"]["replans"] == told
    for form in ("text", "html", "dot", "mermaid"):
        text = good(sluice("explain", "--analyze", run, "--format", form)).stdout
        assert form in ("dot", "mermaid") or "another form of row: rows from " in text, text
    records = good(sluice("runs", "export", run)).stdout
    assert '"step_replanned"' in records


def test_a_batch_that_was_planned_anew_goes_on_after_kill(sluice):
    rows = 1500
    choosy(sluice, rows, "--without", "adapt", env={"SLUICE_CACHE": str(sluice.folder / "one")})
    kept = json_lines(sluice)
    chance = random.Random(5)
    for round_ in range(4):
        cache = {"SLUICE_CACHE": str(sluice.folder / f"cache{round_}")}
        begun = sluice.start("batch", "plan.yaml", "--input", "in.csv", "--output", "out.jsonl", "--json",
                             "--without", "reuse_results", "--force", env=cache, text=True)
        seen = 0
        for line in begun.stdout:
            seen += '"replanned"' in line
            if seen and chance.random() < 0.003:
                break
        begun.send_signal(signal.SIGKILL)
        begun.wait()
        done = sluice("resume", "last", env=cache)
        if done.returncode == 0:
            assert "1,500 rows in" in done.stderr, done.stderr
        else:
            assert "ended" in done.stderr, done.stderr
        assert json_lines(sluice) == kept
        good(sluice("replay", "last"))


def test_a_budget_holds_and_is_carried_over(sluice):
    plan = """sluice: 1
params: {n: {type: integer}}
steps:
  ask:
    llm: default
    with: {prompt: "A word for {{ params.n }}:", max_tokens: 4}
result: {answer: "{{ steps.ask.output }}"}
"""
    def tokens_of(run):
        shown = json.loads(good(sluice("runs", "show", run, "--json")).stdout)
        return sum(step["tokens"] for step in shown["steps"])

    done = batch(sluice, plan, numbered(200), "--budget", "tokens=600", "--without", "reuse_results")
    assert done.returncode == 4 and "before its budget is exceeded" in done.stderr, done.stderr
    assert "--budget BOUND" in done.stderr, done.stderr
    run = run_id_in(done.stderr)
    spent = tokens_of(run)
    assert 200 < spent <= 620, spent
    again = sluice("resume", run)
    assert again.returncode == 4 and "before its budget is exceeded" in again.stderr, again.stderr
    assert spent < tokens_of(run) <= 620, "with what was left of it"
    spent = tokens_of(run)
    more = sluice("resume", run, "--budget", "tokens=400")
    assert more.returncode == 4, more.stderr
    assert spent < tokens_of(run) <= spent + 420
    last = good(sluice("resume", run, "--budget", "tokens=100000"))
    assert "200 rows in" in last.stderr and "rows/s" in last.stderr, last.stderr
    assert len(json_lines(sluice)) == 200
    refused(sluice("resume", run, "--budget", "euro=1"), 3, "usd=5")


def test_a_resumed_batch_tells_what_a_new_one_tells(sluice):
    done = good(batch(sluice, SLOW, numbered(200), "--sample", 5, "--estimate", "--concurrency", 2))
    run = run_id_in(done.stderr)
    resumed = good(sluice("resume", run))
    assert "/200 rows" in resumed.stderr and "200 rows in, 200 written" in resumed.stderr, resumed.stderr
    assert resumed.stdout == ""
    good(sluice.write("plain.yaml", "sluice: 1\nsteps: {}\n") and sluice("run", "plain.yaml"))


@pytest.mark.skipif(not os.environ.get("SLUICE_TEST_LONG"), reason="200 MB: with SLUICE_TEST_LONG")
def test_memory_stays_bounded(sluice):
    plan = """sluice: 1
params: {n: {type: integer}}
steps: {}
result: {n: "{{ params.n }}"}
"""
    with open(sluice.folder / "in.csv", "w") as out:
        out.write("n,text\n")
        for i in range(200_000):
            out.write(f"{i},{'x' * 1000}\n")
    sluice.write("plan.yaml", plan)
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    good(sluice("batch", "plan.yaml", "--input", "in.csv", "--output", "out.csv", timeout=900))
    peak = max(before, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
    assert peak < 400_000, f"{peak} KiB for a table of 200 MB"
    assert sum(1 for _ in open(sluice.folder / "out.csv")) == 200_001
