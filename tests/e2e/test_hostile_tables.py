"""`sluice batch` against files, disks and neighbours that are not as they should be: words that tell
what to do, nothing half-written, no row lost."""

import base64
import json
import os
import re
import sqlite3
import subprocess

import pytest

from test_batch import PLAN, SLOW, batch, files, good, json_lines, numbered, refused
from test_store_faults import has_disks, resize, small_disk

ANY = """sluice: 1
params: {n: {}}
steps: {}
result: {n: "{{ params.n }}"}
"""


def database(sluice, name, rows, table="t"):
    made = sqlite3.connect(sluice.folder / name)
    made.execute(f"create table {table} (n)")
    made.executemany(f"insert into {table} values (?)", [(row,) for row in rows])
    made.commit()
    return made


@pytest.mark.parametrize("rows, words", [
    (b"n,text\r1,a\r2,b\r", ["line 1", "CR alone", "tr '\\r' '\\n'"]),
    ("n,text\n1,ab\n".encode("utf-16-le"), ["UTF-16", "iconv -f utf-16le"]),
    ("n,text\n1,ab\n".encode("utf-16-be"), ["UTF-16", "iconv -f utf-16be"]),
    (b"\x1f\x8b\x08\x00\x00\x00\x00\x00", ["gzip", "gunzip"]),
    (b"PK\x03\x04\x14\x00", ["zip archive", "CSV"]),
    (b"SQLite format 3\x00" + bytes(100), ["SQLite database", "sqlite"]),
    (b"\n\nn,text\n1,a\n", ["line 1 is blank"]),
    (b"n,text\n1\n", ["line 2: 1 cell, the header has 2"]),
])
def test_files_that_are_no_csv(sluice, rows, words):
    done = refused(batch(sluice, PLAN, rows), 3, *words)
    assert "in.csv" in done.stderr
    assert files(sluice) == {"plan.yaml", "in.csv"} and sluice.runs() == []


@pytest.mark.parametrize("name, rows, words", [
    ("in.csv", "n;text\n1;a\n", ["separated by ';'", "commas"]),
    ("in.csv", "n\ttext\n1\ta\n", ["separated by tabs", "tsv"]),
    ("in.tsv", "n,text\n1,a\n", ["separated by commas", "csv"]),
])
def test_other_separators(sluice, name, rows, words):
    refused(batch(sluice, PLAN, rows, name=name), 2, "no column for the parameter n", *words)


@pytest.mark.parametrize("rows, words", [
    ('{"n":1}\n{"n":2,}\n', ["in.jsonl: line 2: not valid JSON at column 8"]),
    ('{\n "n": 1\n}\n', ["line 1", "jq -c ."]),
    ('[{"n":1}]\n', ["line 1", "not an array", "jq -c '.[]'"]),
    ('[\n{"n":1}]\n', ["line 1", "jq -c '.[]'"]),
])
def test_json_that_is_no_lines(sluice, rows, words):
    done = refused(batch(sluice, PLAN, rows, name="in.jsonl"), 3, *words)
    assert "line 1, column" not in done.stderr


def test_databases_that_are_none(sluice):
    sluice.write("plan.yaml", ANY)
    sluice.write("no.db", "this is no database at all, and long enough to be taken for one" * 20)
    database(sluice, "in.db", [1]).close()
    done = refused(sluice("batch", "plan.yaml", "-i", "no.db", "-o", "o.csv"), 3,
                   "no.db: it is no SQLite database")
    assert done.stderr.count("no.db") == 1
    refused(sluice("batch", "plan.yaml", "-i", "in.db", "-o", "no.db"), 3,
            "no.db: it is no SQLite database")


def test_rows_that_do_not_fit_say_so_in_words_of_the_table(sluice):
    good(batch(sluice, PLAN, '{"n": 1}\n{"m": 2}\n{"n": 1.5}\n', "--with-input", name="in.jsonl"))
    errors = [row.get("error") for row in json_lines(sluice)]
    assert errors[0] is None
    assert errors[1] == "row 2: PARAM_MISSING: the row has no n"
    assert errors[2] == "row 3: PARAM_INVALID: n does not fit: must be an integer, is a number"


def test_a_column_that_is_nearly_a_parameter_is_pointed_out(sluice):
    done = good(batch(sluice, PLAN, "n, Text\n1,a\n"))
    assert "no column is called text, so all rows have its default; is ' Text' meant?" in done.stderr
    done = good(batch(sluice, PLAN, "n,other\n1,a\n", "--force"))
    assert "is meant" not in done.stderr and "meant?" not in done.stderr


def test_a_limit_reads_no_further(sluice):
    sluice.write("plan.yaml", ANY)
    database(sluice, "in.db", [1]).close()
    endless = "with recursive x(n) as (select 1 union all select n + 1 from x) select n from x"
    good(sluice("batch", "plan.yaml", "-i", "in.db", "--query", endless, "-o", "out.jsonl",
                "--limit", 3, timeout=60))
    assert json_lines(sluice) == [{"n": 1}, {"n": 2}, {"n": 3}]


def test_bytes_come_through(sluice):
    """A blob goes into a database as bytes, and as base 64 where there are none."""
    sluice.write("plan.yaml", ANY.replace('{n: "{{ params.n }}"}',
                                          '{n: "{{ params.n }}", list: ["{{ params.n }}"], "$bytes": 7}'))
    raw = bytes(range(256))
    database(sluice, "in.db", [raw, b"", "text", None]).close()
    for output in ["out.db", "out.jsonl", "out.csv"]:
        good(sluice("batch", "plan.yaml", "-i", "in.db", "-o", output, "--with-input"))
    text = base64.b64encode(raw).decode()
    out = sqlite3.connect(sluice.folder / "out.db").execute('select n, list, "$bytes" from result')
    assert out.fetchall() == [(raw, json.dumps([text]), 7), (b"", '[""]', 7),
                              ("text", '["text"]', 7), (None, "[null]", 7)]
    assert json_lines(sluice)[0] == {"n": text, "list": [text], "$bytes": 7}
    assert text in (sluice.folder / "out.csv").read_text()


def test_changed_rows_in_a_write_ahead_log_are_a_changed_input(sluice):
    sluice.write("plan.yaml", ANY)
    made = database(sluice, "in.db", range(50))
    made.execute("pragma journal_mode = wal")
    good(sluice("batch", "plan.yaml", "-i", "in.db", "-o", "out.jsonl", "--sample", 5, "--estimate"))
    made.execute("update t set n = n + 1000")
    made.commit()
    refused(sluice("resume", "last"), 3, "RUN_CHANGED", "in.db")
    made.close()


def test_other_rows_than_those_that_were_done_are_no_crash(sluice):
    good(batch(sluice, ANY, numbered(50), "--sample", 5, "--estimate"))
    sluice.write("in.csv", numbered(50).replace("3", "4"))
    refused(sluice("resume", "last"), 3, "RUN_CHANGED", "rows that were not read yet")
    done = sluice("resume", "last", "--accept-changes")
    assert done.returncode == 1, f"{done.returncode}: {done.stderr}"
    assert "STREAM_CHANGED" in done.stderr and "out.jsonl" not in files(sluice)


def test_a_full_disk_stays_full(sluice, tmp_path):
    """Going on without room changes nothing: the run waits for some, whatever it takes."""
    if not has_disks(tmp_path):
        pytest.skip("no file system can be mounted here")
    big = """sluice: 1
params: {n: {type: integer}}
tools: {random: {kind: sql}}
steps:
  bulk: {tool: random.query, with: {sql: "select hex(randomblob(2000)) as bytes"}}
result: {n: "{{ params.n }}", bytes: "{{ steps.bulk.output[0].bytes }}"}
"""
    with small_disk(sluice.folder / "disk", "400k") as disk:
        done = refused(batch(sluice, big, numbered(200), output="disk/out.csv", timeout=60), 130,
                       "no room", "rows)")
        for _ in range(2):
            refused(sluice("resume", "last", timeout=60), 130, "no room", "sluice resume")
        resize(disk, 0, "1500k")  # for the rows, not for the table beside them
        refused(sluice("resume", "last", timeout=60), 130, "no room")
        assert "out.csv" not in os.listdir(disk) and "out.csv.new" not in os.listdir(disk)
        resize(disk, 0, "20m")
        good(sluice("resume", "last"))
        assert sum(1 for _ in open(disk / "out.csv")) == 201 and os.listdir(disk) == ["out.csv"]


def test_a_locked_output_does_not_lose_the_rows(sluice):
    sluice.write("plan.yaml", ANY)
    sluice.write("in.csv", numbered(5))
    other = database(sluice, "out.db", [1], table="mine")
    other.execute("begin immediate")
    done = refused(sluice("batch", "plan.yaml", "-i", "in.csv", "-o", "out.db", timeout=60), 130,
                   "cannot write", "locked", "sluice resume")
    other.rollback()
    good(sluice("resume", "last"))
    assert other.execute("select n from result").fetchall() == [(str(i),) for i in range(5)]
    assert other.execute("select n from mine").fetchall() == [(1,)], "other tables are left alone"


def test_tables_that_sqlite_does_not_make(sluice):
    sluice.write("plan.yaml", ANY)
    sluice.write("in.csv", ",".join(["n", *(f"c{i}" for i in range(2500))]) + "\n" + "1," * 2500 + "1\n")
    words = ("batch", "plan.yaml", "-i", "in.csv", "-o", "out.db")
    refused(sluice(*words, "--with-input"), 3, "at most 2000 columns", "2501", "CSV or JSON Lines")
    refused(sluice(*words, "--table", "sqlite_rows"), 3, "SQLite's own")
    other = database(sluice, "out.db", [1], table="mine")
    other.execute("create view result as select * from mine")
    other.commit()
    refused(sluice(*words, "--force"), 3, "a view called result", "name another table")
    assert sluice.runs() == []
    good(sluice(*words, "--table", "rows"))
    good(sluice(*words, "--table", "ROWS", "--force"))
    assert other.execute("select n from rows").fetchall() == [("1",)]


def test_standard_input_and_output(sluice):
    sluice.write("plan.yaml", ANY)
    sluice.write("in.csv", numbered(40))
    refused(sluice("batch", "plan.yaml", "-i", "/dev/stdin", "--input-format", "csv", "-o", "o.jsonl",
                   stdin="n\n1\n"), 3, "no regular file", "write it to a file first")
    refused(sluice("batch", "plan.yaml", "-i", "-", "-o", "o.jsonl"), 3, "--input-format")
    refused(sluice("batch", "plan.yaml", "-i", "in.csv", "-o", "/dev/stdout", "--output-format", "csv",
                   "--force"), 3, "no regular file")
    # A file that stands behind such a name is meant, also when the run goes on elsewhere.
    with open(sluice.folder / "in.csv") as given:
        done = subprocess.run(sluice.words("batch", "plan.yaml", "-i", "/dev/stdin", "--input-format",
                                           "csv", "-o", "out.jsonl", "--sample", 5, "--estimate"),
                              cwd=sluice.folder, stdin=given, capture_output=True, text=True,
                              env=sluice.variables(), timeout=60)
    good(done)
    good(sluice("resume", "last", stdin=""))
    assert len(json_lines(sluice)) == 40


def test_a_link_is_written_through(sluice):
    (sluice.folder / "far").mkdir()
    (sluice.folder / "far" / "real.jsonl").write_text("old\n")
    (sluice.folder / "out.jsonl").symlink_to("far/real.jsonl")
    good(batch(sluice, ANY, numbered(3), "--force"))
    assert (sluice.folder / "out.jsonl").is_symlink()
    assert len(json_lines(sluice)) == 3
    assert os.listdir(sluice.folder / "far") == ["real.jsonl"]
    (sluice.folder / "again.csv").symlink_to("in.csv")
    refused(batch(sluice, ANY, numbered(3), "--force", output="again.csv"), 3,
            "the output is the input")


def test_a_sample_of_one_row_that_fails(sluice):
    bad = """sluice: 1
params: {n: {type: integer}}
steps: {bad: {value: "{{ 1 // params.n }}"}}
result: "{{ steps.bad.output }}"
"""
    refused(batch(sluice, bad, "n\n0\n0\n", "--sample", 1), 1, "the only row of the sample failed")


def test_explain_of_a_plan_for_one_row(sluice):
    sluice.write("plan.yaml", SLOW)
    sluice.write("in.csv", numbered(700))
    done = good(sluice("explain", "plan.yaml", "--input", "in.csv"))
    assert re.search(r"row/a\s+700\s+70\d ", done.stdout), done.stdout  # history: some were asked twice
    assert "for 700 rows" in done.stdout and "sluice batch plan.yaml" in done.stdout
    refused(sluice("explain", "plan.yaml", "-p", "x=3"), 2, "no parameter x")
    sluice.write("bad.csv", "m\n1\n")
    refused(sluice("explain", "plan.yaml", "--input", "bad.csv"), 2, "no column for the parameter n")
