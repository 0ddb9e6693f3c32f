"""How much results change with the passes that a plan allows: measured on a sample, reported, kept, and heeded."""

import json

from conftest import Endpoint
from test_batch import good, json_lines, refused

# Asked with the real model: `why` comes behind what is read, so that a greedy answer stays what it is without it.
FIELDS = """sluice: 1
allow: [drop_output_fields]
params: {text: {type: string}}
steps:
  ask:
    llm: default
    with:
      messages:
        - {role: user, content: "Is this about an animal: {{ params.text }}?"}
      max_tokens: 60
    output:
      type: object
      required: [animal, why]
      additionalProperties: false
      properties: {animal: {type: boolean}, why: {type: string, maxLength: 60}}
result: {animal: "{{ steps.ask.output.animal }}"}
"""

# Asked of a server that answers by what comes first: the sample cannot agree.
ORDER = """sluice: 1
allow: [reorder_templates]
models: {{default: {{kind: openai, url: "{url}", model: small}}}}
params: {{text: {{type: string}}}}
steps:
  ask:
    llm: default
    with:
      messages:
        - {{role: user, content: "Entry: {{{{ params.text }}}}\\n\\nIs this about security? Answer yes or no, please."}}
result: {{answer: "{{{{ steps.ask.output }}}}"}}
"""


def table(count):
    words = ["cat", "stone", "horse", "spoon", "sparrow", "cloud", "wolf", "paper"]
    return "text\n" + "".join(f"a {words[i % len(words)]} number {i}\n" for i in range(count))


def by_what_comes_first(body):
    first = body["messages"][0]["content"].startswith("Entry")
    return Endpoint.says("entry first" if first else "question first")(body)


def order_plan(sluice, endpoint, rows):
    endpoint.script = [by_what_comes_first]
    sluice.write("in.csv", table(rows))
    return sluice.write("plan.yaml", ORDER.format(url=endpoint.url))


def test_a_batch_measures_and_goes_on(sluice):
    sluice.write("in.csv", table(24))
    words = ("batch", sluice.write("plan.yaml", FIELDS), "--input", "in.csv", "--quality-sample", 6)
    done = good(sluice(*words, "--output", "out.jsonl"))
    assert "measuring drop_output_fields on 6 of 24 rows" in done.stderr, done.stderr
    assert "6 of 6 rows have equal results with drop_output_fields" in done.stderr, done.stderr
    assert "agreement 1.00 (0.68 or more) on 6 rows" in done.stderr
    assert "results may differ with drop_output_fields: agreement 1.00" in done.stderr
    rows = json_lines(sluice)
    assert len(rows) == 24 and all(set(row) == {"animal"} for row in rows)
    # What was measured is known from now on, and explained.
    done = good(sluice(*words, "--output", "again.jsonl"))
    assert "measuring" not in done.stderr and "agreement 1.00" in done.stderr, done.stderr
    assert json_lines(sluice, "again.jsonl") == rows
    done = good(sluice("explain", "plan.yaml"))
    assert "allowed: drop_output_fields: agreement 1.00 (0.68 or more) on 6 rows, measured 20" in done.stdout
    assert "ask: nothing reads why: not generated" in done.stdout
    # The exact plan gives the same.
    done = good(sluice(*words, "--output", "exact.jsonl", "--without", "drop_output_fields"))
    assert "agreement" not in done.stderr
    assert json_lines(sluice, "exact.jsonl") == rows


def test_the_sample_writes_less(sluice):
    sluice.write("in.csv", table(30))
    plan = sluice.write("plan.yaml", FIELDS.replace("about an animal", "an animal"))
    done = good(sluice("quality", plan, "--input", "in.csv", "--sample", 8, "--json"))
    told = json.loads(done.stdout)
    assert told["measured"] and told["passes"] == ["drop_output_fields"]
    assert told["rows"] == 8 and told["agreement"] == told["equal"] / 8
    assert told["allowed"]["calls"] == told["exact"]["calls"] == 8
    assert told["allowed"]["tokens"] < told["exact"]["tokens"], told
    assert sluice.runs() == [], "a measurement is no run that somebody goes on with"


def test_too_little_agreement_runs_exactly(sluice, endpoint):
    plan = order_plan(sluice, endpoint, 40)
    words = ("batch", plan, "--input", "in.csv", "--quality-sample", 5)
    done = good(sluice(*words, "--output", "out.jsonl"))
    assert "0 of 5 rows have equal results with reorder_templates" in done.stderr, done.stderr
    assert ': exactly {"answer":"entry first"}, as allowed {"answer":"question first"}' in done.stderr
    assert "done exactly, without reorder_templates: agreement 0.00" in done.stderr
    assert [row["answer"] for row in json_lines(sluice)] == ["entry first"] * 40
    # 5 rows both ways, and the batch, to which the exact answers of the sample still belong.
    assert len(endpoint.requests) == 5 + 5 + 35
    # Who wants it all the same has it, from what was measured.
    done = good(sluice(*words, "--output", "other.jsonl", "--least-agreement", 0))
    assert "measuring" not in done.stderr
    assert [row["answer"] for row in json_lines(sluice, "other.jsonl")] == ["question first"] * 40


def test_the_sample_is_spread_over_the_table(sluice, endpoint):
    plan = order_plan(sluice, endpoint, 50)
    good(sluice("quality", plan, "--input", "in.csv", "--sample", 5))
    asked = {request[2]["messages"][0]["content"].split("number ")[1].split()[0].strip()
             for request in endpoint.requests}
    assert sorted(int(row) // 10 for row in asked) == [0, 1, 2, 3, 4], asked
    assert len({int(row) % 10 for row in asked}) > 1, "a table with a period would be met at one place of it"
    endpoint.requests.clear()
    good(sluice("quality", plan, "--input", "in.csv", "--sample", 5, "--without", "reuse_results"))
    again = {request[2]["messages"][0]["content"].split("number ")[1].split()[0].strip()
             for request in endpoint.requests}
    assert again == asked, "the same rows each time"


def test_the_command_can_fail(sluice, endpoint):
    plan = order_plan(sluice, endpoint, 10)
    words = ("quality", plan, "--input", "in.csv", "--sample", 4)
    done = good(sluice(*words))
    assert "0 of 4 rows have equal results" in done.stdout
    refused(sluice(*words, "--least-agreement", 0.5), 1, "is below 0.50")
    refused(sluice(*words, "--without", "reorder_templates"), 1, "nothing was measured")
    refused(sluice("quality", plan, "--input", "none.csv"), 3, "none.csv")


def test_what_cannot_be_measured_is_told_before_anything_is_done(sluice, endpoint):
    plan = order_plan(sluice, endpoint, 12)
    text = (sluice.folder / plan).read_text()
    sluice.write("plain.yaml", text.replace("allow: [reorder_templates]\n", ""))
    for words, why in [(("plain.yaml",), "the plan allows no pass that may change results (`allow: [NAME]`)"),
                       ((plan, "--without", "reorder_templates"),
                        "every pass that may change results is switched off")]:
        done = refused(sluice("quality", *words, "--input", "in.csv"), 1, f"nothing was measured: {why}")
        assert done.stderr == f"nothing was measured: {why}\n", done.stderr
        done = sluice("quality", *words, "--input", "none.csv", "--json")
        assert done.returncode == 1 and json.loads(done.stdout) == {"event": "quality", "measured": False, "why": why}
    assert endpoint.requests == []
    sluice.write("odd.yaml", text.replace("reorder_templates", "reorder_template"))
    done = sluice("quality", "odd.yaml", "--input", "in.csv")
    assert "did you mean reorder_templates? (what can be allowed: " in done.stderr and "?;" not in done.stderr
    done = sluice("quality", plan, "--input", "in.csv", "--without", "reorder_template")
    assert "did you mean reorder_templates? (there are " in done.stderr, done.stderr


def test_json_events_of_a_batch(sluice, endpoint):
    plan = order_plan(sluice, endpoint, 12)
    done = good(sluice("batch", plan, "--input", "in.csv", "--output", "o.jsonl", "--quality-sample", 3, "--json"))
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[0]["event"] == "quality" and events[0]["agreement"] == 0 and events[0]["rows"] == 3
    assert [row["answer"] for row in json_lines(sluice, "o.jsonl")] == ["entry first"] * 12


def test_small_tables_run_exactly(sluice, endpoint):
    plan = order_plan(sluice, endpoint, 3)
    done = good(sluice("batch", plan, "--input", "in.csv", "--output", "o.jsonl"))
    assert "done exactly, without reorder_templates: there are no more rows" in done.stderr
    assert len(endpoint.requests) == 3


def test_nothing_to_change_is_not_measured(sluice, endpoint):
    plan = order_plan(sluice, endpoint, 12)
    text = (sluice.folder / plan).read_text().replace("reorder_templates", "drop_output_fields")
    done = good(sluice("batch", sluice.write("plan.yaml", text), "--input", "in.csv", "--output", "o.jsonl",
                       "--quality-sample", 3))
    assert "found nothing to change" in done.stderr, done.stderr
    assert "agreement" not in done.stderr
    assert len(endpoint.requests) == 12, "the sample's answers are those of its rows"


def test_what_acts_is_not_done_twice(sluice, endpoint):
    plan = order_plan(sluice, endpoint, 12)
    text = (sluice.folder / plan).read_text().replace(
        "result:", """  pay: {tool: pay, with: {args: ["{{ steps.ask.output }}"]}}
tools:
  pay: {kind: process, stdout: text, command: [sh, -c, "echo paid >> paid", x]}
result:""")
    words = ("--input", "in.csv", "--quality-sample", 3)
    sluice.write("plan.yaml", text)
    done = good(sluice("batch", "plan.yaml", *words, "--output", "o.jsonl"))
    assert "that cannot be measured: step pay changes something (once)" in done.stderr, done.stderr
    assert len((sluice.folder / "paid").read_text().split()) == 12
    refused(sluice("quality", "plan.yaml", "--input", "in.csv"), 1, "step pay changes something")


def test_a_run_says_that_results_may_differ(sluice, endpoint):
    endpoint.script = [by_what_comes_first]
    plan = ORDER.format(url=endpoint.url).replace("text: {type: string}", "rows: {default: [{text: a}, {text: b}]}")
    plan = plan.replace("params.text", "item.text").replace("    llm: default", '    for_each: "{{ params.rows }}"\n    llm: default')
    done = good(sluice.run_plan(plan))
    assert json.loads(done.stdout) == {"answer": ["question first"] * 2}
    assert "results may differ: reorder_templates: results may differ; nothing was measured" in done.stderr
    done = good(sluice.run_plan(plan, "--without", "reorder_templates"))
    assert json.loads(done.stdout) == {"answer": ["entry first"] * 2}
    assert "may differ" not in done.stderr
