"""Runs that stop and go on: interrupts, waits, signals, doubt, undo, forks and replays, with the real binary
and tools that keep a ledger outside (ledger.py)."""

import json
import os
import shutil
import signal
import sqlite3
import time

import pytest

import kill_shapes
from conftest import run_id_in, wait_until



def plan_of(sluice, steps, head=""):
    (sluice.folder / "out").mkdir(exist_ok=True)
    return "sluice: 1\n" + head + kill_shapes.tools(sluice.folder / "ledger") + steps.lstrip("\n")


def slow_tool(effect, seconds, more=""):
    """A tool that says in files when it began and when it ended."""
    return (f"  slow: {{kind: process, stdout: text, effect: {effect}, {more}command: [sh, -c, "
            f"\"echo x >> began; sleep {seconds}; echo x >> ended; echo done\"]}}\n")


def times(sluice, name):
    file = sluice.folder / name
    return len(file.read_text().split()) if file.exists() else 0


def start_until(sluice, plan, condition, *arguments):
    """A run in the background, up to a condition; the process and the run's id."""
    process = sluice.start("run", sluice.write("plan.yaml", plan), *arguments)
    wait_until(lambda: process.poll() is not None or condition())
    assert process.poll() is None, process.communicate()
    return process, sluice.runs()[0]["run"]


def kill(process):
    process.kill()
    process.communicate()


def ends_with(done, code, *words):
    assert done.returncode == code, f"{done.returncode}: {done.stdout}{done.stderr}"
    for word in words:
        assert word in done.stdout + done.stderr, done.stdout + done.stderr
    return done


# Stopping


SLOW_FIRST = """
steps:
  a: {tool: slow}
  b: {after: [a], tool: put, with: {args: [b]}}
result: "{{ steps.b.output.of }}"
"""


def slow_plan(sluice, effect, seconds, more=""):
    text = plan_of(sluice, SLOW_FIRST)
    return text.replace("tools:\n", "tools:\n" + slow_tool(effect, seconds, more), 1)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_an_interrupted_run_drains_and_goes_on(sluice, name):
    process, run_id = start_until(sluice, slow_plan(sluice, "once", 1),
                                  lambda: times(sluice, "began") == 1)
    process.send_signal(getattr(signal, name))
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130, errors
    assert run_id in errors.decode() and "sluice resume" in errors.decode()
    assert times(sluice, "ended") == 1 and sluice.ledger() == []
    assert sluice.runs()[0]["state"] == "interrupted"
    done = ends_with(sluice("resume", run_id), 0)
    assert done.stdout == "b\n"
    assert times(sluice, "began") == 1 and sluice.ledger() == [("put", "b")]


def test_twice_cuts_and_what_may_be_repeated_is(sluice):
    process, run_id = start_until(sluice, slow_plan(sluice, "idempotent", 3),
                                  lambda: times(sluice, "began") == 1)
    process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=10)
    assert process.returncode == 130 and times(sluice, "ended") == 0
    done = ends_with(sluice("resume", run_id), 0)
    assert done.stdout == "b\n" and times(sluice, "began") == 2


def test_a_run_of_another_live_process_is_left_alone(sluice):
    process, run_id = start_until(sluice, slow_plan(sluice, "once", 2),
                                  lambda: times(sluice, "began") == 1)
    ends_with(sluice("resume", run_id), 5, "RUN_BUSY", str(process.pid))
    ends_with(sluice("runs", "gc", "--older-than", "0s", "--abandoned"), 0)
    out, errors = process.communicate(timeout=20)
    assert process.returncode == 0, errors
    assert out == b"b\n" and times(sluice, "began") == 1


def test_an_ended_run_keeps_its_result_and_does_nothing(sluice):
    done = sluice.run_plan(plan_of(sluice, 'steps: {a: {tool: put, with: {args: [x]}}}\n'
                                           'result: "{{ steps.a.output.of }}"\n'))
    run_id = run_id_in(ends_with(done, 0).stderr)
    ends_with(sluice("resume", run_id), 3, "RUN_ENDED")
    assert sluice.shown(run_id)["result"] == "x"
    assert sluice.ledger() == [("put", "x")]


def test_unknown_runs(sluice):
    ends_with(sluice("resume", "nothing"), 3, "RUN_UNKNOWN")
    sluice.run_plan("sluice: 1\nsteps: {a: {value: 1}}\n")
    for command in (["resume"], ["cancel"], ["replay"], ["runs", "show"]):
        ends_with(sluice(*command, "nothing"), 3, "RUN_UNKNOWN")


# Waiting


APPROVAL = """
steps:
  ask:
    wait: {signal: decision, of: Ada, ask: "Pay {{ params.amount }}?"}
    output: {type: object, required: [yes_or_no], properties: {yes_or_no: {type: boolean}}}
  pay: {when: "{{ steps.ask.output.yes_or_no }}", tool: pay, with: {args: [all]}}
result: "{{ steps.pay.status }}"
"""
AMOUNT = "params: {amount: {type: integer, default: 7}}\n"


def waiting(sluice):
    return bool(sluice.runs()) and sluice.runs()[0]["state"] == "waiting"


def test_a_signal_must_fit_and_reaches_a_live_run(sluice):
    process, run_id = start_until(sluice, plan_of(sluice, APPROVAL, AMOUNT), lambda: waiting(sluice))
    listed = ends_with(sluice("approve"), 0, run_id, "Ada", "Pay 7?", "decision").stdout
    assert listed.count(run_id) == 1
    ends_with(sluice("signal", run_id, "decision", '"yes"'), 3, "SIGNAL_INVALID")
    ends_with(sluice("signal", run_id, "decision", '{"yes_or_no": 1}'), 3, "SIGNAL_INVALID")
    ends_with(sluice("signal", run_id, "decison", "1"), 3, "SIGNAL_UNKNOWN", "decision")
    ends_with(sluice("signal", run_id, "decision", "{not json"), 3)
    assert waiting(sluice) and process.poll() is None
    ends_with(sluice("signal", run_id, "decision", '{"yes_or_no": true}'), 0)
    out, errors = process.communicate(timeout=20)
    assert process.returncode == 0 and out == b"done\n", errors
    assert sluice.ledger() == [("pay", "all")]
    ends_with(sluice("signal", run_id, "decision", '{"yes_or_no": true}'), 3, "RUN_ENDED")


def test_a_signal_sent_while_nobody_ran_is_taken_once(sluice):
    process, run_id = start_until(sluice, plan_of(sluice, APPROVAL, AMOUNT), lambda: waiting(sluice))
    kill(process)
    ends_with(sluice("signal", run_id, "decision", '{"yes_or_no": false}'), 0)
    ends_with(sluice("signal", run_id, "decision", '{"yes_or_no": true}'), 0)
    done = ends_with(sluice("resume", run_id), 0)
    assert done.stdout == "skipped\n" and sluice.ledger() == []


def test_time_goes_on_while_nobody_runs(sluice):
    plan = plan_of(sluice, """
steps:
  pause: {wait: {for: 3s}}
  after: {after: [pause], tool: put, with: {args: [late]}}
""")
    begun = time.monotonic()
    process, run_id = start_until(sluice, plan, lambda: waiting(sluice))
    kill(process)
    time.sleep(max(0, begun + 3.2 - time.monotonic()))
    resumed = time.monotonic()
    ends_with(sluice("resume", run_id), 0)
    assert time.monotonic() - resumed < 2.5, "it waited again"
    assert sluice.ledger() == [("put", "late")]


@pytest.mark.parametrize("until", ["2001-01-01T00:00:00Z", "2001-01-01 00:00 Europe/Berlin",
                                   "2001-01-01T00:00:00+05:30"])
def test_a_time_in_the_past_is_over(sluice, until):
    done = sluice.run_plan(f"sluice: 1\nsteps: {{w: {{wait: {{until: '{until}', value: past}}}}}}\n"
                           'result: "{{ steps.w.output }}"\n')
    assert ends_with(done, 0).stdout == "past\n"


def test_a_wait_that_cannot_be_understood(sluice):
    done = sluice.run_plan("sluice: 1\nparams: {t: {type: string, default: soon}}\n"
                           "steps: {w: {wait: {until: '{{ params.t }}'}}}\n")
    ends_with(done, 1, "WAIT_INVALID", "soon")


def test_nobody_answers(sluice):
    done = sluice.run_plan("""
sluice: 1
steps:
  a: {wait: {signal: never, for: 50ms, value: "nobody"}}
  b: {wait: {signal: never, for: 50ms}, on_error: {value: timed out}}
result: "{{ steps.a.output }}, {{ steps.b.output }}"
""")
    assert ends_with(done, 0).stdout == "nobody, timed out\n"


# Doubt


DOUBTFUL = """
steps:
  a: {tool: slow}
  b: {tool: put, with: {args: ["{{ steps.a.output | trim }}"]}}
result: "{{ steps.b.output.of }}"
"""


def in_doubt(sluice):
    """A run that died while a call was under way of which nobody can know."""
    text = plan_of(sluice, DOUBTFUL).replace("tools:\n", "tools:\n" + slow_tool("once", 0.5), 1)
    process, run_id = start_until(sluice, text, lambda: times(sluice, "began") == 1)
    kill(process)
    ends_with(sluice("resume", run_id), 4, "sluice resolve", f"{run_id} a")
    assert [doubt["task"] for doubt in sluice.shown(run_id)["open"]["doubts"]] == ["a"]
    assert times(sluice, "began") == 1, "it was made again"
    wait_until(lambda: times(sluice, "ended") == 1)
    return run_id


def test_resolve_as_done(sluice):
    run_id = in_doubt(sluice)
    ends_with(sluice("resolve", run_id, "b", "--done", "1"), 3, "TASK_UNKNOWN")
    ends_with(sluice("resolve", run_id, "a", "--done", '"known"'), 0)
    assert ends_with(sluice("resume", run_id), 0).stdout == "known\n"
    assert times(sluice, "began") == 1 and sluice.ledger() == [("put", "known")]


def test_resolve_as_failed(sluice):
    run_id = in_doubt(sluice)
    ends_with(sluice("resolve", run_id, "a", "--failed"), 0)
    ends_with(sluice("resume", run_id), 1)
    assert times(sluice, "began") == 1 and sluice.ledger() == []


def test_resolve_to_be_made_again(sluice):
    run_id = in_doubt(sluice)
    ends_with(sluice("resolve", run_id, "a", "--retry"), 0)
    assert ends_with(sluice("resume", run_id), 0).stdout == "done\n"
    assert times(sluice, "began") == 2


def test_doubt_stops_only_its_branch_and_no_rule_hides_it(sluice):
    text = plan_of(sluice, """
steps:
  a: {tool: slow, on_error: {value: hidden}}
  b: {tool: put, with: {args: ["{{ steps.a.output }}"]}}
  other: {wait: {for: 200ms}}
  c: {after: [other], tool: put, with: {args: [other]}}
""").replace("tools:\n", "tools:\n" + slow_tool("once", 1), 1)
    process, run_id = start_until(sluice, text, lambda: times(sluice, "began") == 1)
    kill(process)
    ends_with(sluice("resume", run_id), 4)
    assert sluice.ledger() == [("put", "other")]


# Undo and cancel


SAGA = """
undo: true
steps:
  pay: {for_each: [a, b, c], concurrency: 1, tool: pay, with: {args: ["{{ item }}"]}}
"""
UNDONE = [("pay", "a"), ("pay", "b"), ("pay", "c"), ("refund", "c"), ("refund", "b"),
          ("refund", "a")]


def test_a_failed_run_is_undone_in_reverse(sluice):
    done = sluice.run_plan(plan_of(sluice, SAGA + "  end: {after: [pay], tool: fail}\n"))
    ends_with(done, 1, "TOOL_FAILED")
    assert sluice.ledger() == UNDONE


def test_without_undo_nothing_is(sluice):
    plan = plan_of(sluice, SAGA + "  end: {after: [pay], tool: fail}\n").replace("undo: true\n", "")
    ends_with(sluice.run_plan(plan), 1)
    assert sluice.ledger() == UNDONE[:3]


SAGA_THAT_WAITS = SAGA + "  ask: {after: [pay], wait: {signal: go}}\n"


def test_cancelling_a_live_run_undoes_it(sluice):
    process, run_id = start_until(sluice, plan_of(sluice, SAGA_THAT_WAITS), lambda: waiting(sluice))
    ends_with(sluice("cancel", run_id), 0)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130, errors
    assert sluice.ledger() == UNDONE
    assert sluice.runs()[0]["state"] == "cancelled"
    ends_with(sluice("resume", run_id), 3, "RUN_ENDED")
    assert sluice.ledger() == UNDONE


def test_cancelling_a_run_that_nobody_has_undoes_it(sluice):
    process, run_id = start_until(sluice, plan_of(sluice, SAGA_THAT_WAITS), lambda: waiting(sluice))
    kill(process)
    ends_with(sluice("cancel", run_id), 0)
    assert sluice.ledger() == UNDONE
    assert sluice.runs()[0]["state"] == "cancelled"


def test_interrupting_is_not_cancelling(sluice):
    process, run_id = start_until(sluice, plan_of(sluice, SAGA_THAT_WAITS), lambda: waiting(sluice))
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 130 and sluice.ledger() == UNDONE[:3]
    ends_with(sluice("signal", run_id, "go", "1"), 0)
    ends_with(sluice("resume", run_id), 0)
    assert sluice.ledger() == UNDONE[:3]


# Forks and replays


THREE = """
params: {word: {type: string, default: w}}
steps:
  a: {tool: put, with: {args: [a]}}
  b: {tool: put, with: {args: ["{{ steps.a.output.of }}{{ params.word }}"]}}
  c: {tool: put, with: {args: ["{{ steps.b.output.of }}c"]}}
result: "{{ steps.c.output.of }}"
"""


def keys_of(sluice, deed):
    entries = map(json.loads, (sluice.folder / "ledger").read_text().splitlines())
    return [e["key"] for e in entries if e["deed"] == deed]


def test_a_fork_reuses_what_kept_its_meaning(sluice):
    text = plan_of(sluice, THREE)
    first = run_id_in(ends_with(sluice.run_plan(text), 0).stderr)
    same = ends_with(sluice("fork", first, "--from", "c"), 0)
    assert same.stdout == "awc\n"
    # c is made again under the key that it had: its inputs are the same.
    assert sluice.ledger() == [("put", "a"), ("put", "aw"), ("put", "awc")]
    assert len(keys_of(sluice, "again")) == 1
    other = ends_with(sluice("fork", first, "--from", "b", "--param", "word=x"), 0)
    assert other.stdout == "axc\n"
    assert sluice.ledger()[3:] == [("put", "ax"), ("put", "axc")]
    changed = sluice.write("new.yaml", text.replace('[a]}', '[z]}'))
    anew = ends_with(sluice("fork", first, "--from", "c", "--plan", changed), 0)
    assert anew.stdout == "zwc\n"
    assert sluice.ledger()[5:] == [("put", "z"), ("put", "zw"), ("put", "zwc")]
    ends_with(sluice("fork", first, "--from", "nothing"), 2, "STEP_UNKNOWN")
    assert len(sluice.runs()) == 4


def test_a_replay_decides_the_same(sluice):
    done = sluice.run_plan(plan_of(sluice, kill_shapes.RETRIES))
    run_id = run_id_in(done.stderr)
    before = sluice.ledger()
    ends_with(sluice("replay", run_id), 0)
    assert sluice.ledger() == before, "a replay calls nothing"


def test_a_journal_that_was_tampered_with(sluice):
    done = sluice.run_plan(plan_of(sluice, THREE.lstrip("\n")))
    run_id = run_id_in(done.stderr)
    with sqlite3.connect(sluice.folder / "journal.db") as store:
        changed = store.execute("update records set body = cast(replace(cast(body as blob), x'6177', "
                                "x'6178') as blob) where instr(body, x'6177') > 0").rowcount
        assert changed > 0
    store.close()
    for command in (["replay", run_id], ["runs", "show", run_id], ["fork", run_id, "--from", "c"]):
        ends_with(sluice(*command), 1, "JOURNAL_DAMAGED")
    ends_with(sluice("runs", "check"), 1, run_id)


# What is kept


def test_export_is_one_line_a_record(sluice):
    run_id = run_id_in(ends_with(sluice.run_plan(plan_of(sluice, THREE)), 0).stderr)
    exported = ends_with(sluice("runs", "export", run_id), 0).stdout
    records = [json.loads(line) for line in exported.splitlines()]
    assert len(records) >= 5 and records[0]["type"] == "header"
    assert [record["seq"] for record in records] == list(range(1, len(records) + 1))


def test_a_secret_is_not_journaled(sluice):
    plan = """
sluice: 1
tools:
  say: {kind: process, stdout: text, effect: pure, command: [sh, -c, "echo ${#WORD}"], env: {WORD: {env: HUSH}}}
steps: {a: {tool: say}}
result: "{{ steps.a.output }}"
"""
    done = ends_with(sluice.run_plan(plan, env={"HUSH": "pst-4711"}), 0)
    assert done.stdout.strip() == "8"
    for file in sluice.folder.glob("journal.db*"):
        assert file.is_dir() or b"pst-4711" not in file.read_bytes()


def test_gc_keeps_what_may_go_on(sluice):
    ended = run_id_in(sluice.run_plan("sluice: 1\nsteps: {a: {value: 1}}\n").stderr)
    process, open_run = start_until(sluice, "sluice: 1\nsteps: {w: {wait: {signal: go}}}\n",
                                    lambda: any(r["state"] == "waiting" for r in sluice.runs()))
    kill(process)
    ends_with(sluice("runs", "gc", "--older-than", "1h"), 0)
    assert len(sluice.runs()) == 2
    ends_with(sluice("runs", "gc", "--older-than", "0s"), 0)
    assert [run["run"] for run in sluice.runs()] == [open_run]
    ends_with(sluice("resume", ended), 3, "RUN_UNKNOWN")


def test_a_changed_model_is_noticed(sluice):
    model = sluice.folder / "model.gguf"
    shutil.copy(os.environ["SLUICE_TEST_MODEL"], model)
    plan = """
sluice: 1
steps:
  ask: {wait: {signal: go}}
  say: {after: [ask], llm: default, with: {prompt: "One word:", max_tokens: 3, temperature: 0}}
result: "{{ steps.say.output }}"
"""
    process, run_id = start_until(sluice, plan, lambda: waiting(sluice), "--model", str(model))
    kill(process)
    ends_with(sluice("signal", run_id, "go", "1"), 0)
    with open(model, "ab") as file:
        file.write(b"\0")
    ends_with(sluice("resume", run_id), 3, "RUN_CHANGED", "--accept-changes")
    ends_with(sluice("resume", run_id), 3, "RUN_CHANGED")  # nothing was made worse
    ends_with(sluice("resume", run_id, "--accept-changes"), 0)


def test_no_journal_leaves_nothing(sluice):
    done = sluice.run_plan("sluice: 1\nsteps: {a: {value: 1}}\nresult: 1\n", "--no-journal")
    ends_with(done, 0)
    assert not list(sluice.folder.glob("journal*"))


def test_a_run_that_died_before_it_began(sluice):
    """An older program, killed between the run's row and its first record: nothing was done, and that is said."""
    ended = run_id_in(sluice.run_plan("sluice: 1\nsteps: {a: {value: 1}}\n").stderr)
    with sqlite3.connect(sluice.folder / "journal.db") as store:
        store.execute("update runs set state = 0, last_seq = 0 where run_id = ?", (ended,))
        store.execute("delete from records")
    store.close()
    for command in (["resume", ended], ["runs", "show", ended], ["replay", ended]):
        ends_with(sluice(*command), 3, "RUN_UNKNOWN", "run it anew")
    ends_with(sluice("runs", "check"), 0)
    ends_with(sluice("runs", "gc", "--older-than", "0s", "--abandoned"), 0)
    assert sluice.runs() == []


def test_a_run_that_died_behind_its_last_record(sluice):
    """Killed between the run's end and telling the store of it: it has ended, and gives its result."""
    done = sluice.run_plan(plan_of(sluice, THREE))
    run_id = run_id_in(ends_with(done, 0).stderr)
    with sqlite3.connect(sluice.folder / "journal.db") as store:
        store.execute("update runs set state = 0, status = 'running'")
    store.close()
    again = ends_with(sluice("resume", run_id), 0)
    assert again.stdout == done.stdout
    assert sluice.runs()[0]["state"] == "succeeded" and len(sluice.ledger()) == 3
    ends_with(sluice("resume", run_id), 3, "RUN_ENDED")
