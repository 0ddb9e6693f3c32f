"""What a batch makes of measured quality: which measurement counts for which rows, what passes may do after it, and
what it may cost."""

import json
import pathlib
import sqlite3

import conftest
from conftest import Endpoint
from test_batch import good, json_lines
from test_quality import order_plan, table

TOKENS = 14  # of a call of the endpoint


def answers(sluice, name="out.jsonl"):
    return [row["answer"] for row in json_lines(sluice, name)]


def test_nothing_to_change_in_the_sample_says_nothing_of_all_rows(sluice, endpoint):
    plan = order_plan(sluice, endpoint, 12)
    words = ("batch", plan, "--input", "in.csv", "--quality-sample", 1, "--least-agreement", 0.95,
             "--without", "reuse_results")
    done = good(sluice(*words, "--output", "out.jsonl"))
    assert "done exactly, without reorder_templates: in a sample of 1 row they found nothing to change" in done.stderr
    assert answers(sluice) == ["entry first"] * 12, "two rows are reordered, one is not"
    assert len(endpoint.requests) == 1 + 12
    # It is known from now on.
    endpoint.requests.clear()
    done = good(sluice(*words, "--output", "again.jsonl"))
    assert "measuring" not in done.stderr and "found nothing to change" in done.stderr, done.stderr
    assert len(endpoint.requests) == 12 and answers(sluice, "again.jsonl") == ["entry first"] * 12
    told = good(sluice("explain", plan)).stdout
    assert "reorder_templates: found nothing to change in 1 row, looked for 20" in told, told


def test_passes_do_not_change_more_than_was_measured(sluice, endpoint):
    plan = order_plan(sluice, endpoint, 12)
    words = ("batch", plan, "--input", "in.csv", "--quality-sample", 3, "--least-agreement", 0)
    done = good(sluice(*words, "--output", "out.jsonl"))
    assert answers(sluice) == ["question first"] * 12 and "done exactly" not in done.stderr, done.stderr
    # As if the same pass had changed another step of the sample's plan, and not this one.
    kept = sqlite3.connect(pathlib.Path(conftest.CACHE) / "statistics.sqlite")
    with kept:
        for key, text in kept.execute("select key, measured from quality").fetchall():
            told = json.loads(text)
            assert told["passes"] == [] or told["changes"], told
            told["changes"] = ["reorder_templates row/another"]
            kept.execute("update quality set measured = ? where key = ?", (json.dumps(told), key))
    kept.close()
    done = good(sluice(*words, "--output", "again.jsonl"))
    assert "measuring" not in done.stderr, done.stderr
    assert done.stderr.count("in all rows passes would change more than in the measured sample") == 2, done.stderr
    assert answers(sluice, "again.jsonl") == ["entry first"] * 12
    assert len(sluice.runs()) == 2, "what did not begin is no run"


def by_row(body):
    """Rows of `b.csv` are answered by what comes first, those of `a.csv` always alike."""
    text = body["messages"][0]["content"]
    alike = "number" in text
    return Endpoint.says("alike" if alike else "entry" if text.startswith("Entry") else "question")(body)


def test_a_measurement_of_other_rows_does_not_decide(sluice, endpoint):
    plan = order_plan(sluice, endpoint, 12)
    endpoint.script = [by_row]
    sluice.write("a.csv", table(12))
    sluice.write("b.csv", table(12).replace("number", "no"))
    good(sluice("quality", plan, "--input", "a.csv", "--sample", 3))
    words = ("--quality-sample", 6, "--least-agreement", 0.9)
    done = good(sluice("batch", plan, "--input", "b.csv", "--output", "b.jsonl", *words))
    assert "measuring reorder_templates on 6 of 12 rows" in done.stderr, done.stderr
    assert answers(sluice, "b.jsonl") == ["entry"] * 12
    # Of the same table: fewer rows than are asked for do not do.
    done = good(sluice("batch", plan, "--input", "a.csv", "--output", "a.jsonl", *words))
    assert "measuring reorder_templates on 6 of 12 rows" in done.stderr, done.stderr
    done = good(sluice("batch", plan, "--input", "a.csv", "--output", "a2.jsonl", "--quality-sample", 5))
    assert "measuring" not in done.stderr and "agreement 1.00" in done.stderr, done.stderr
    done = good(sluice("batch", plan, "--input", "a.csv", "--output", "a3.jsonl", "--limit", 11, "--quality-sample", 5))
    assert "measuring" in done.stderr, "other rows are to be done"
    # Who asks about the plan is told what was measured last.
    assert "agreement 1.00" in good(sluice("explain", plan)).stdout


def test_parameters_that_all_rows_have_are_part_of_what_was_measured(sluice, endpoint):
    plan = order_plan(sluice, endpoint, 12)
    text = (sluice.folder / plan).read_text()
    sluice.write(plan, text.replace("params: {text", "params: {how: {default: short}, text").replace(
        "Entry: {{ params.text }}", "Entry, {{ params.how }}: {{ params.text }}"))
    words = ("batch", plan, "--input", "in.csv", "--quality-sample", 3)
    good(sluice(*words, "--output", "a.jsonl"))
    done = good(sluice(*words, "--output", "b.jsonl", "--param", "how=long"))
    assert "measuring" in done.stderr, done.stderr


def test_the_budget_holds_while_quality_is_measured(sluice, endpoint):
    plan = order_plan(sluice, endpoint, 40)
    words = ("batch", plan, "--input", "in.csv", "--output", "out.jsonl", "--quality-sample", 10)
    done = sluice(*words, "--budget", f"tokens={4 * TOKENS + 4}")
    assert done.returncode == 4, done.stdout + done.stderr
    assert "while quality was measured, before the budget is exceeded (" in done.stderr, done.stderr
    assert "nothing of the batch was done" in done.stderr and "0 of 0 tokens" not in done.stderr
    assert len(endpoint.requests) <= 4
    assert sluice.runs() == [] and not (sluice.folder / "out.jsonl").exists()


def test_what_measuring_took_is_taken_from_the_budget(sluice, endpoint):
    plan = order_plan(sluice, endpoint, 100)
    most = 1000  # as long as no call has ended, five are expected to take half of it
    done = sluice("batch", plan, "--input", "in.csv", "--output", "out.jsonl", "--quality-sample", 5,
                  "--budget", f"tokens={most}", "--without", "reuse_results")
    assert done.returncode == 4 and "0 of 5 rows have equal results" in done.stderr, done.stderr
    assert f"of {most:,} tokens are used ({2 * 5 * TOKENS} of them to measure quality)" in done.stderr, done.stderr
    asked = len(endpoint.requests)
    assert 50 < asked <= most / TOKENS
    again = sluice("resume", "last")
    assert again.returncode == 4 and len(endpoint.requests) <= most / TOKENS, again.stderr
    good(sluice("resume", "last", "--budget", "tokens=100000"))
    assert answers(sluice) == ["entry first"] * 100


def test_too_little_agreement_leaves_second_attempts_on(sluice, endpoint):
    plan = order_plan(sluice, endpoint, 12)
    text = (sluice.folder / plan).read_text().replace("[reorder_templates]", "[reorder_templates, hedge_calls]")
    sluice.write(plan, text)
    done = good(sluice("batch", plan, "--input", "in.csv", "--output", "out.jsonl", "--quality-sample", 3))
    assert "done exactly, without reorder_templates: agreement 0.00" in done.stderr, done.stderr
    told = good(sluice("explain", "--analyze", "last")).stdout
    without = [line for line in told.splitlines() if "switched off: " in line]
    assert without and "reorder_templates" in without[0] and "hedge_calls" not in without[0], told
