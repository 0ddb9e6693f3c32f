"""What a run prints: the result, the event stream, progress on a terminal, and the other commands."""

import json
import os
import pty
import select
import subprocess
import sys
import time

import pytest

from conftest import BINARY

PLAN = """
sluice: 1
tools: {n: {kind: process, stdout: lines, effect: pure, command: [seq, "1", "20"]}}
steps:
  n: {tool: n}
  a: {for_each: "{{ steps.n.output }}", value: "{{ 100 / ((item | int) - 7) }}", on_error: skip}
  sum: {value: "{{ steps.a.output | present | length }}"}
result: {count: "{{ steps.sum.output }}"}
"""


def test_result_on_stdout_and_nothing_else(sluice):
    done = sluice.run_plan(PLAN)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"count": 19}
    assert "a" in done.stderr and "19" in done.stderr, "the summary is on stderr"


def test_a_text_result_is_printed_as_text(sluice):
    done = sluice.run_plan('sluice: 1\nsteps: {a: {value: "two\\nlines"}}\n'
                           'result: "{{ steps.a.output }}"\n')
    assert done.stdout == "two\nlines\n"


def test_json_is_one_event_a_line(sluice):
    done = sluice.run_plan(PLAN, "--json")
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(events) > 20
    assert all(isinstance(event, dict) for event in events)
    assert {"count": 19} in [event.get("result") for event in events[-2:]]


def test_a_failed_run_names_step_item_and_cause(sluice):
    done = sluice.run_plan(PLAN.replace(", on_error: skip", ""))
    assert done.returncode == 1
    assert "a[6]" in done.stderr and "EXPR_ARITHMETIC" in done.stderr, done.stderr


def test_in_doubt_is_exit_code_4(sluice):
    done = sluice.run_plan("sluice: 1\n"
                           "tools: {pay: {kind: process, stdout: text, command: [sleep, '30']}}\n"
                           "steps: {a: {tool: pay, timeout: 200ms}}\n")
    assert done.returncode == 4, done.stderr
    assert "IN_DOUBT" in done.stderr


def test_a_spent_budget_is_exit_code_4(sluice):
    done = sluice.run_plan("sluice: 1\nbudget: {calls: 1}\n"
                           "tools: {t: {kind: process, stdout: text, effect: pure, command: [echo]}}\n"
                           "steps: {a: {for_each: [1, 2, 3], concurrency: 1, tool: t, "
                           "with: {args: ['{{ item }}']}}}\n")
    assert done.returncode == 4, done.stderr
    assert "BUDGET_SPENT" in done.stderr


def on_a_terminal(sluice, *arguments):
    """Its exit code, and all that a person would have seen."""
    main, terminal = pty.openpty()
    process = subprocess.Popen(sluice.words(*arguments), cwd=sluice.folder, stdout=terminal,
                               stderr=terminal,
                               env=sluice.variables({"TERM": "xterm", "COLUMNS": "100"}))
    os.close(terminal)
    seen = b""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if not select.select([main], [], [], 0.1)[0]:
            if process.poll() is not None:
                break
            continue
        try:
            data = os.read(main, 4096)
        except OSError:
            break
        if not data:
            break
        seen += data
    code = process.wait(timeout=10)
    os.close(main)
    return code, seen.decode()


def test_progress_on_a_terminal(sluice):
    plan = sluice.write("plan.yaml", """
sluice: 1
tools: {t: {kind: process, stdout: text, effect: pure, command: [sleep]}}
steps: {nap: {for_each: [0.3, 0.6, 0.9], tool: t, with: {args: ["{{ item }}"]}}}
result: "{{ steps.nap.output | length }}"
""")
    code, text = on_a_terminal(sluice, "run", plan)
    assert code == 0, text
    assert "nap" in text
    assert "\x1b[" in text, "nothing was redrawn"
    assert any(part in text for part in ("1/3", "2/3")), text


def test_a_stream_on_a_terminal(sluice):
    # Its items are through before they are counted.
    plan = sluice.write("plan.yaml", """
sluice: 1
tools:
  slow: {kind: process, stdout: lines, effect: read,
    command: [sh, -c, "echo a; sleep 0.3; echo b; sleep 0.3; echo c; sleep 0.3"]}
steps:
  line: {tool: slow}
  each: {for_each: "{{ steps.line.output }}", value: "{{ item }}"}
result: "{{ steps.each.output }}"
""")
    code, text = on_a_terminal(sluice, "run", plan)
    assert code == 0, text
    assert "2/2+" in text, text


@pytest.mark.parametrize("closed, code", [("<&-", 0), ("2>&-", 0), (">&-", 1),
                                          ("<&- >&- 2>&-", 1)])
def test_streams_that_the_caller_closed(sluice, closed, code):
    # No file that the run opens takes a stream's number: what is printed would go into it.
    plan = sluice.write("plan.yaml", PLAN)
    done = subprocess.run(["sh", "-c", f'exec "$@" {closed}', "sh", *sluice.words("run", plan)],
                          cwd=sluice.folder, env=sluice.variables(), timeout=60)
    assert done.returncode == code
    assert sluice("runs", "check").returncode == 0


def test_plain_lines_when_not_a_terminal(sluice):
    done = sluice.run_plan(PLAN)
    assert "\x1b[" not in done.stdout + done.stderr


def test_explain_in_four_forms(sluice):
    plan = sluice.write("plan.yaml", PLAN)
    text = sluice("explain", plan)
    assert text.returncode == 0 and "sum" in text.stdout and "flow" in text.stdout.lower()
    assert sluice("explain", plan, "--format", "dot").stdout.startswith("digraph")
    assert "-->" in sluice("explain", plan, "--format", "mermaid").stdout
    graph = json.loads(sluice("explain", plan, "--format", "json").stdout)
    assert "sum" in json.dumps(graph)


def test_check_tools_models_version(sluice):
    plan = sluice.write("plan.yaml", PLAN)
    assert sluice("check", plan).returncode == 0
    tools = sluice("tools", plan)
    assert tools.returncode == 0 and "n" in tools.stdout
    models = sluice("models")
    assert models.returncode == 0, models.stderr
    assert "SmolLM2" in models.stdout or "gguf" in models.stdout.lower(), models.stdout
    assert "0." in sluice("version").stdout


def test_init_writes_a_plan_that_runs_and_never_overwrites(sluice):
    first = sluice("init", "starter")
    assert first.returncode == 0, first.stderr
    assert sluice("check", "starter/plan.yaml").returncode == 0
    assert sluice("run", "starter/plan.yaml").returncode == 0
    before = (sluice.folder / "starter/plan.yaml").read_text()
    assert sluice("init", "starter").returncode != 0
    assert (sluice.folder / "starter/plan.yaml").read_text() == before


def test_shell_completion(sluice):
    done = sluice("completion", "bash")
    assert done.returncode == 0 and "sluice" in done.stdout
    checked = subprocess.run(["bash", "-n"], input=done.stdout, text=True, capture_output=True)
    assert checked.returncode == 0, checked.stderr


def test_a_plan_from_standard_input(sluice):
    done = sluice("run", "-", stdin='sluice: 1\nsteps: {a: {value: 7}}\nresult: "{{ steps.a.output }}"\n')
    assert (done.returncode, done.stdout) == (0, "7\n"), done.stderr


def test_rows_of_a_file(sluice):
    sluice.write("rows.csv", "id,name\n1,one\n2,two\n")
    sluice.write("rows.jsonl", '{"id": 1, "name": "one"}\n{"id": 2, "name": "two"}\n')
    plan = sluice.write("plan.yaml", """
sluice: 1
params: {rows: {type: array, items: {type: object}}}
steps: {a: {for_each: "{{ params.rows }}", value: "{{ item.name }}"}}
result: "{{ steps.a.output }}"
""")
    for name in ("rows.csv", "rows.jsonl"):
        done = sluice("run", plan, "--input", name)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == ["one", "two"]


def test_bounded_memory_over_many_items(sluice):
    """100,000 items through two steps stay far below what keeping all of them would take."""
    plan = sluice.write("plan.yaml", """
sluice: 1
tools: {n: {kind: process, stdout: lines, effect: pure, command: [seq, "1", "100000"]}}
steps:
  n: {tool: n}
  a: {for_each: "{{ steps.n.output }}", value: "{{ (item | int) + 1 }}"}
  b: {for_each: "{{ steps.a.output }}", value: "{{ item - 1 }}"}
  last: {value: "{{ steps.b.output | last }}"}
result: "{{ steps.last.output }}"
""")
    done = subprocess.run(
        [sys.executable, "-c",
         "import resource, subprocess, sys\n"
         "done = subprocess.run(sys.argv[1:], capture_output=True, text=True)\n"
         "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, done.stdout, done.stderr)",
         BINARY, "run", plan],
        cwd=sluice.folder, capture_output=True, text=True, env=sluice.variables(), timeout=60)
    kilobytes, result = done.stdout.split()[:2]
    assert result == "100000", done.stdout
    if "asan" not in BINARY and "tsan" not in BINARY:
        assert int(kilobytes) < 250_000
