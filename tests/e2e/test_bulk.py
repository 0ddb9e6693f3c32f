"""Calls that go out together: real tools of each kind that has bulk calls, which write down what they were asked."""

import http.server
import json
import signal
import threading

import pytest

from conftest import wait_until

WORDS = '''
import json, os, time

def note(text):
    with open("asked", "a") as out:
        out.write(text + "\\n")

def embed(text=None, calls=None):
    """One text, or as many as there are calls."""
    if calls is None:
        note("1")
        if text == "bad":
            raise ValueError("a bad text")
        return len(text)
    note(str(len(calls)))
    if os.path.exists("broken"):
        raise RuntimeError("no bulk today")
    while os.path.exists("wait"):
        time.sleep(0.02)
    items = []
    for call in calls:
        if call["text"] == "bad":
            items.append({"error": {"message": "a bad text"}})
        elif call["text"] == "busy" and not os.path.exists("seen"):
            open("seen", "w").close()
            items.append({"error": {"message": "busy", "retryable": True}})
        else:
            items.append({"output": len(call["text"])})
    return items
'''

PLAN = """sluice: 1
concurrency: 200
params: {rows: {default: [a, bb, ccc, a, dddd]}}
tools:
  words: {kind: python, file: words.py, functions: {embed: {effect: pure, bulk: 50, concurrency: 1}}}
steps:
  got: {for_each: "{{ params.rows }}", tool: words.embed, with: {text: "{{ item }}"}%s}
result: "{{ steps.got.output }}"
"""


def asked(sluice):
    file = sluice.folder / "asked"
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def run(sluice, plan, *arguments, code=0):
    (sluice.folder / "asked").unlink(missing_ok=True)
    sluice.write("words.py", WORDS)
    done = sluice.run_plan(plan, *arguments)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def test_rows_go_out_together_and_equal_ones_once(sluice):
    done = run(sluice, PLAN % "")
    assert json.loads(done.stdout) == [1, 2, 3, 1, 4]
    assert asked(sluice) == [4], "the two a are one before"
    shown = sluice.shown("last")["steps"]
    got = next(step for step in shown if step["step"] == "got")
    assert got["calls"] == 5 and got["cached"] == 1, "journal and trace see single calls"
    replayed = sluice("replay", "last")
    assert replayed.returncode == 0, replayed.stdout + replayed.stderr


def test_without_the_pass_calls_go_out_one_by_one(sluice):
    for switch in (("--without", "bulk_calls"), ("--no-optimize",)):
        done = run(sluice, PLAN % "", "--quiet", *switch)
        assert json.loads(done.stdout) == [1, 2, 3, 1, 4]
        assert set(asked(sluice)) == {1}


def test_many_rows_fill_the_calls(sluice):
    rows = json.dumps([f"word {i}" for i in range(200)])
    done = run(sluice, PLAN % "", "--quiet", "--param", f"rows={rows}")
    assert json.loads(done.stdout) == [len(f"word {i}") for i in range(200)]
    assert sum(asked(sluice)) == 200 and len(asked(sluice)) <= 6
    assert max(asked(sluice)) <= 50


def test_one_items_error_is_that_tasks_only(sluice):
    rows = json.dumps(["a", "bad", "ccc"])
    done = run(sluice, PLAN % ", on_error: {value: -1}", "--quiet", "--param", f"rows={rows}")
    assert json.loads(done.stdout) == [1, -1, 3]
    assert asked(sluice) == [3]
    done = run(sluice, PLAN % "", "--quiet", "--param", f"rows={rows}", code=1)
    assert "a bad text" in done.stderr


def test_an_item_that_may_be_tried_again_is(sluice):
    rows = json.dumps(["a", "busy", "ccc"])
    done = run(sluice, PLAN % ", retry: {attempts: 3, delay: 10ms}", "--quiet", "--param", f"rows={rows}")
    assert json.loads(done.stdout) == [1, 4, 3]
    assert asked(sluice) == [3, 1], "alone the second time: a plain call"


def test_a_bulk_call_that_fails_is_made_call_by_call(sluice):
    (sluice.folder / "broken").touch()
    rows = json.dumps(["a", "bad", "ccc"])
    done = run(sluice, PLAN % ", on_error: {value: -1}", "--quiet", "--param", f"rows={rows}")
    assert json.loads(done.stdout) == [1, -1, 3]
    assert asked(sluice) == [3, 1, 1, 1]


def test_a_run_that_was_killed_in_a_bulk_call_goes_on(sluice):
    (sluice.folder / "wait").touch()
    sluice.write("words.py", WORDS)
    process = sluice.start("run", sluice.write("plan.yaml", PLAN % ""))
    wait_until(lambda: asked(sluice) or process.poll() is not None)
    assert process.poll() is None, process.communicate()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    (sluice.folder / "wait").unlink()
    done = sluice("resume", "last")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [1, 2, 3, 1, 4]
    assert asked(sluice) == [4, 4], "its end was in no journal"


def test_a_time_limit_holds_for_the_call_and_then_for_each(sluice):
    """While `wait` is there the bulk call hangs; made one by one all is well."""
    (sluice.folder / "wait").touch()
    done = run(sluice, PLAN % ", timeout: 1s", "--quiet")
    assert json.loads(done.stdout) == [1, 2, 3, 1, 4]
    assert asked(sluice) == [4, 1, 1, 1, 1]


def test_rows_of_a_sub_plan_too(sluice):
    plan = """sluice: 1
plans:
  row:
    sluice: 1
    params: {text: {}}
    tools: {words: {kind: python, file: words.py, functions: {embed: {effect: read, bulk: 50}}}}
    steps: {got: {tool: words.embed, with: {text: "{{ params.text }}"}}}
    result: "{{ steps.got.output }}"
steps:
  each: {for_each: [a, bb, a, dddd], plan: row, with: {text: "{{ item }}"}}
result: "{{ steps.each.output }}"
"""
    done = run(sluice, plan, "--quiet")
    assert json.loads(done.stdout) == [1, 2, 1, 4]
    assert asked(sluice) == [4], "reading calls are not made once for all"


def test_a_program_gets_its_calls_on_standard_input(sluice):
    sluice.write("count.py", """
import json, sys
given = json.load(sys.stdin)
with open("asked", "a") as out:
    out.write(str(len(given.get("calls", [0]))) + "\\n")
if "calls" in given:
    print(json.dumps([{"output": call["stdin"]["n"] * 2} for call in given["calls"]]))
else:
    print(given["n"] * 2)
""")
    plan = """sluice: 1
tools: {count: {kind: process, command: [python3, count.py], effect: pure, bulk: 8}}
steps:
  got: {for_each: [1, 2, 3], tool: count, with: {stdin: {n: "{{ item }}"}}}
  one: {tool: count, with: {stdin: {n: 7}}}
result: ["{{ steps.got.output }}", "{{ steps.one.output }}"]
"""
    done = run(sluice, plan, "--quiet")
    assert json.loads(done.stdout) == [[2, 4, 6], 14]
    assert sorted(asked(sluice)) == [1, 3], "steps do not mix"


class Bulk(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        given = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, given))
        if "calls" in given:
            answer = [{"output": call["body"]["n"] * 2} for call in given["calls"]]
        else:
            answer = given["n"] * 2
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def bulk_server():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Bulk)
    server.asked = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_server_gets_its_calls_in_the_body(sluice, bulk_server):
    plan = """sluice: 1
tools: {count: {kind: http, url: "http://127.0.0.1:%d/count", method: POST, effect: read, bulk: 8}}
steps:
  got: {for_each: [1, 2, 3], tool: count, with: {body: {n: "{{ item }}"}}}
result: "{{ steps.got.output }}"
""" % bulk_server.server_address[1]
    done = run(sluice, plan, "--quiet")
    assert json.loads(done.stdout) == [2, 4, 6]
    assert len(bulk_server.asked) == 1
    path, given = bulk_server.asked[0]
    assert path == "/count" and [call["body"]["n"] for call in given["calls"]] == [1, 2, 3]


def test_explain_says_what_goes_out_together(sluice):
    sluice.write("words.py", WORDS)
    done = sluice("explain", sluice.write("plan.yaml", PLAN % ""))
    assert done.returncode == 0, done.stderr
    assert "up to 50 of its calls go out as one" in done.stdout


def test_bulk_of_effects_is_refused(sluice):
    done = sluice.run_plan((PLAN % "").replace("effect: pure", "effect: once"))
    assert done.returncode == 2
    assert "only pure and read functions can be called in bulk" in done.stderr
