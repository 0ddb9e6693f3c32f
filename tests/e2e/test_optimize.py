"""What optimizer passes spare, and that nothing else changes: the same plan with them and without them, with the
real binary, tools that count their calls in a file, and a model server that counts its requests."""

import json
import signal

import pytest

from conftest import Endpoint, forget_results, run_id_in, wait_until


# `ask` is pure and says what it was asked in the file `calls`; `pay` may happen once.
HEAD = """sluice: 1
tools:
  ask: {kind: process, stdout: text, effect: pure, command: [sh, -c, "echo $1 >> calls; printf 'got %s' $1", x]}
  pay: {kind: process, stdout: text, command: [sh, -c, "echo $1 >> paid; printf 'paid %s' $1", x]}
"""

SWITCHES = [(), ("--no-optimize",), ("--without", "share_equal_calls"), ("--without", "early_conditions")]


def lines(sluice, name):
    file = sluice.folder / name
    return sorted(file.read_text().split()) if file.exists() else []


def forget(sluice, *names):
    for name in names:
        (sluice.folder / name).unlink(missing_ok=True)


def run(sluice, plan, *switches, code=0):
    """What the run prints, what it asked, what it paid."""
    forget(sluice, "calls", "paid", "failed")
    forget_results()
    done = sluice.run_plan(plan, "--quiet", *switches)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout, lines(sluice, "calls"), lines(sluice, "paid")


EQUAL_ROWS = HEAD + """
steps:
  got: {for_each: [a, b, a, a, b, c], tool: ask, with: {args: ["{{ item }}"]}}
  bill: {for_each: [a, a], tool: pay, with: {args: ["{{ item }}"]}}
result: ["{{ steps.got.output }}", "{{ steps.bill.output }}"]
"""


def test_equal_rows_are_asked_once_and_paid_each(sluice):
    plain, all_calls, paid = run(sluice, EQUAL_ROWS, "--no-optimize")
    assert len(all_calls) == 6 and paid == ["a", "a"]
    for switches in [(), ("--without", "merge_equal_steps")]:
        result, calls, paid = run(sluice, EQUAL_ROWS, *switches)
        assert result == plain
        assert calls == ["a", "b", "c"]
        assert paid == ["a", "a"], "what is not pure is done as often as it is written"
    result, calls, _ = run(sluice, EQUAL_ROWS, "--without", "share_equal_calls")
    assert (result, calls) == (plain, all_calls)


def test_equal_calls_of_sub_plans_are_made_once(sluice):
    plan = HEAD + """
plans:
  row:
    sluice: 1
    params: {text: {}}
    steps: {got: {tool: ask, with: {args: ["{{ params.text }}"]}}}
    result: "{{ steps.got.output }}"
steps:
  each: {for_each: [a, b, a, a], plan: row, with: {text: "{{ item }}"}}
result: "{{ steps.each.output }}"
"""
    plain, all_calls, _ = run(sluice, plan, "--no-optimize")
    result, calls, _ = run(sluice, plan)
    assert result == plain
    assert len(all_calls) == 4 and calls == ["a", "b"]


def test_when_the_first_of_equal_calls_fails_the_others_make_their_own(sluice):
    # The first call of all fails, whichever it is.
    plan = """sluice: 1
tools:
  ask: {kind: process, stdout: text, effect: pure, command: [sh, -c, "echo $1 >> calls; if mkdir failed; then exit 1; fi; echo good", x]}
steps:
  got: {for_each: [a, a, a], on_error: {value: bad}, tool: ask, with: {args: ["{{ item }}"]}}
result: "{{ steps.got.output }}"
"""
    result = json.loads(run(sluice, plan)[0])
    assert sorted(each.strip() for each in result) == ["bad", "good", "good"]
    assert len(lines(sluice, "calls")) == 3
    (sluice.folder / "failed").rmdir()


def test_a_failed_equal_call_is_tried_again(sluice):
    plan = """sluice: 1
tools:
  ask: {kind: process, stdout: text, effect: pure, command: [sh, -c, "echo $1 >> calls; if mkdir failed; then exit 1; fi; echo good", x]}
steps:
  got:
    for_each: [a, a, a]
    retry: {attempts: 2, on: [TOOL_FAILED], delay: 10ms}
    tool: ask
    with: {args: ["{{ item }}"]}
result: "{{ steps.got.output | map('trim') }}"
"""
    assert json.loads(run(sluice, plan)[0]) == ["good"] * 3
    assert 2 <= len(lines(sluice, "calls")) <= 4
    (sluice.folder / "failed").rmdir()


ROWS = json.dumps([{"text": f"t{i}", "high": i % 4 == 0} for i in range(8)])

FILTER_LAST = """sluice: 1
models: {{default: {{kind: openai, url: "{url}", model: small}}}}
steps:
  ask: {{for_each: {rows}, llm: default, with: {{prompt: "{{{{ item.text }}}}?"}}}}
  kept:
    for_each: {rows}
    when: "{{{{ steps.ask.output[index] == 'yes' and item.high }}}}"
    value: "{{{{ item.text }}}}"
result: "{{{{ steps.kept.output }}}}"
"""


def test_an_exact_filter_written_last_saves_model_calls(sluice, endpoint):
    endpoint.script = [Endpoint.says("yes")]
    plan = FILTER_LAST.format(url=endpoint.url, rows=ROWS)
    results = {}
    for switches in SWITCHES:
        endpoint.requests.clear()
        result, _, _ = run(sluice, plan, *switches)
        results[switches] = (json.loads(result), len(endpoint.requests))
    expected = ["t0", None, None, None, "t4", None, None, None]
    assert results[()] == (expected, 2)
    assert results[("--no-optimize",)] == (expected, 8)
    assert results[("--without", "early_conditions")] == (expected, 8)
    assert results[("--without", "share_equal_calls")] == (expected, 2)


# Plans that give the same with and without passes, whatever these do: (name, steps and result, exit code).
SAME = [
    ("a condition that cannot be evaluated where an earlier one turns the row away", """
params: {rows: {default: [a, b]}}
steps:
  got: {for_each: "{{ params.rows }}", tool: ask, with: {args: ["{{ item }}"]}}
  kept:
    for_each: "{{ params.rows }}"
    when: "{{ item == 'x' and item.missing > 3 and steps.got.output[index] == 'got a' }}"
    value: "{{ item }}"
result: "{{ steps.kept.output }}"
""", 0),
    ("a condition behind a step that is skipped", """
params: {rows: {default: [a, b]}}
steps:
  some: {for_each: "{{ params.rows }}", when: "{{ item == 'x' }}", value: true}
  got: {for_each: "{{ params.rows }}", tool: ask, with: {args: ["{{ item }}"]}}
  kept:
    for_each: "{{ params.rows }}"
    join: {some: {skipped: skip}}
    when: "{{ item.missing > 3 and steps.some.output[index] }}"
    value: "{{ steps.got.output[index] }}"
result: "{{ steps.kept.output }}"
""", 0),
    ("a condition that cannot be evaluated at all", """
params: {rows: {default: [a, b]}}
steps:
  got: {for_each: "{{ params.rows }}", tool: ask, with: {args: ["{{ item }}"]}}
  kept:
    for_each: "{{ params.rows }}"
    when: "{{ item.missing > 3 and steps.got.output[index] == 'got a' }}"
    value: "{{ item }}"
result: "{{ steps.kept.output }}"
""", 1),
    ("nulls of a whole list that somebody else reads", """
steps:
  got: {for_each: [a, b, c], tool: ask, with: {args: ["{{ item }}"]}}
  kept: {for_each: [a, b, c], when: "{{ item != 'b' }}", value: "{{ steps.got.output[index] }}"}
  all: {value: "{{ steps.got.output | length }}"}
result: ["{{ steps.kept.output }}", "{{ steps.all.output }}"]
""", 0),
    ("a status", """
steps:
  got: {tool: ask, with: {args: [a]}}
  kept: {when: "{{ run.id == 'x' }}", value: "{{ steps.got.output }}"}
result: ["{{ steps.kept.output }}", "{{ steps.got.status }}", "{{ steps.kept.status }}"]
""", 0),
    ("a value in the place of what is skipped", """
steps:
  got:
    for_each: [a, b]
    when: "{{ item == 'a' }}"
    tool: ask
    with: {args: ["{{ item }}"]}
  kept:
    for_each: [a, b]
    join: {got: {skipped: {value: none}}}
    when: "{{ index >= 0 }}"
    value: "{{ steps.got.output[index] }}"
result: "{{ steps.kept.output }}"
""", 0),
    ("what happens once happens for all that it happened for", """
steps:
  bill: {for_each: [a, b], tool: pay, with: {args: ["{{ item }}"]}}
  got: {for_each: [a, b], tool: ask, with: {args: ["{{ steps.bill.output[index] }}"]}}
  kept: {for_each: [a, b], when: "{{ item == 'a' }}", value: "{{ steps.got.output[index] }}"}
result: "{{ steps.kept.output }}"
""", 0),
    ("what comes after", """
steps:
  got: {tool: ask, with: {args: [a]}}
  bill: {after: [got], tool: pay, with: {args: [x]}}
  kept: {when: "{{ run.id == 'x' }}", value: "{{ steps.got.output }}"}
result: ["{{ steps.kept.output }}", "{{ steps.bill.output }}"]
""", 0),
    ("a flow of several steps", """
steps:
  got: {for_each: [a, b, c], tool: ask, with: {args: ["{{ item }}"]}}
  more: {for_each: "{{ steps.got.output }}", tool: ask, with: {args: ["{{ item | length }}"]}}
  kept:
    for_each: "{{ steps.got.output }}"
    when: "{{ index > 0 }}"
    value: "{{ [item, steps.more.output[index]] }}"
result: "{{ steps.kept.output }}"
""", 0),
    ("conditions of several steps, a step in between, and a fallback", """
steps:
  one: {for_each: [a, b, c], tool: ask, with: {args: ["{{ item }}1"]}}
  two: {for_each: [a, b, c], tool: ask, with: {args: ["{{ item }}2"]}}
  joined: {for_each: [a, b, c], value: "{{ steps.two.output[index] ~ '!' }}"}
  spare: {value: "{{ error.code }}"}
  kept:
    for_each: [a, b, c]
    when: "{{ steps.one.output[index] != 'got b1' and item != 'c' }}"
    on_error: {step: spare}
    tool: pay
    with: {args: ["{{ steps.joined.output[index] | length }}"]}
result: "{{ steps.kept.output }}"
""", 0),
    ("a failing step whose rows are turned away may fail or not, the run then succeeds", """
steps:
  bad: {for_each: [a, b], on_error: skip, code: "def main(x): return 1 // 0", with: {x: "{{ item }}"}}
  kept:
    for_each: [a, b]
    join: {bad: {skipped: skip}}
    when: "{{ item == 'a' }}"
    value: "{{ steps.bad.output[index] }}"
result: "{{ steps.kept.output }}"
""", 0),
    ("no rows at all", """
params: {rows: {type: array, default: []}}
steps:
  got: {for_each: "{{ params.rows }}", tool: ask, with: {args: ["{{ item }}"]}}
  kept: {for_each: "{{ params.rows }}", when: "{{ item.ok }}", value: "{{ steps.got.output[index] }}"}
result: "{{ steps.kept.output }}"
""", 0),
]


@pytest.mark.parametrize("name,steps,code", SAME, ids=[each[0] for each in SAME])
def test_results_are_the_same(sluice, name, steps, code):
    plan = HEAD + steps.lstrip("\n")
    plain, all_calls, all_paid = run(sluice, plan, "--no-optimize", code=code)
    for switches in SWITCHES:
        result, calls, paid = run(sluice, plan, *switches, code=code)
        assert result == plain
        assert paid == all_paid
        assert len(calls) <= len(all_calls)


def test_a_moved_condition_avoids_a_failure_and_never_causes_one(sluice):
    """Of a row that a filter turns away, nobody hears that its question cannot be asked."""
    plan = HEAD + """
steps:
  got: {for_each: [{a: 1, ok: true}, {ok: false}], tool: ask, with: {args: ["{{ item.a }}"]}}
  kept:
    for_each: [{a: 1, ok: true}, {ok: false}]
    when: "{{ steps.got.output[index] == 'got 1' and item.ok }}"
    value: 1
result: "{{ steps.kept.output }}"
"""
    run(sluice, plan, "--no-optimize", code=1)
    result, calls, _ = run(sluice, plan)
    assert json.loads(result) == [1, None] and calls == ["1"]


def test_a_pass_that_does_not_exist_is_named(sluice):
    done = sluice.run_plan("sluice: 1\nsteps: {a: {value: 1}}\n", "--without", "early_condition")
    assert done.returncode == 3
    assert "did you mean early_conditions?" in done.stderr
    assert "there are fold_constants, " in done.stderr


SLOW = """sluice: 1
tools:
  ask: {kind: process, stdout: text, effect: pure, command: [sh, -c, "echo $1 >> calls; echo got", x]}
  slow: {kind: process, stdout: text, effect: read, command: [sh, -c, "echo x >> began; sleep $(cat seconds); echo done"]}
steps:
  first: {tool: slow}
  got: {for_each: [a, a, a], after: [first], tool: ask, with: {args: ["{{ item }}"]}}
result: "{{ steps.got.output | map('trim') }}"
"""


@pytest.mark.parametrize("switches,calls", [((), 1), (("--no-optimize",), 3), (("--without", "share_equal_calls"), 3)])
def test_a_run_goes_on_as_it_began(sluice, switches, calls):
    (sluice.folder / "seconds").write_text("60")
    process = sluice.start("run", sluice.write("plan.yaml", SLOW), *switches)
    wait_until(lambda: process.poll() is not None or (sluice.folder / "began").exists())
    assert process.poll() is None, process.communicate()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    (sluice.folder / "seconds").write_text("0")
    done = sluice("resume", "last")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["got"] * 3
    assert len(lines(sluice, "calls")) == calls
    replayed = sluice("replay", run_id_in(done.stderr) if "run " in done.stderr else "last")
    assert replayed.returncode == 0, replayed.stdout + replayed.stderr


def test_produced_plans_are_optimized_and_go_on(sluice):
    plan = HEAD + """
steps:
  planned:
    code: |
      def main():
          ask = {"tool": "ask", "with": {"args": ["x"]}}
          return {"sluice": 1, "steps": {"a": ask, "b": ask},
                  "result": ["{{ steps.a.output }}", "{{ steps.b.output }}"]}
  done:
    plan: "{{ steps.planned.output }}"
    limits: {operators: [tool], tools: [ask], steps: 9, tasks: 9}
result: "{{ steps.done.output }}"
"""
    plain, all_calls, _ = run(sluice, plan, "--no-optimize")
    result, calls, _ = run(sluice, plan)
    assert result == plain and json.loads(result) == ["got x", "got x"]
    assert len(all_calls) == 2 and len(calls) == 1
    replayed = sluice("replay", "last")
    assert replayed.returncode == 0, replayed.stdout + replayed.stderr


def test_a_fork_says_its_steps_by_their_own_names(sluice):
    """Equal steps are one in the run that was forked; in the fork each is itself."""
    plan = HEAD + """
steps:
  a: {tool: ask, with: {args: [x]}}
  b: {tool: ask, with: {args: [x]}}
result: ["{{ steps.a.output }}", "{{ steps.b.output }}"]
"""
    _, calls, _ = run(sluice, plan)
    assert calls == ["x"]
    done = sluice("fork", "last", "--from", "b")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["got x", "got x"]
