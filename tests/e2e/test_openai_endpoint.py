"""Plans on an OpenAI-compatible server: requests, errors, retries, tools, keys."""

import json
import threading
import time

PLAN = """
sluice: 1
models: {big: {kind: openai, url: "%s", model: big-1, key: {env: BIG_KEY}}}
steps:
  a: {llm: big, with: {messages: [{role: user, content: "Say hello"}]}%s}
result: "{{ steps.a.output }}"
"""
KEY = {"BIG_KEY": "sk-secret-123456"}


def run(sluice, endpoint, more="", *arguments):
    return sluice.run_plan(PLAN % (endpoint.url, more), *arguments, env=KEY)


def test_a_plain_answer(sluice, endpoint):
    endpoint.script = [endpoint.says("hello from afar")]
    done = run(sluice, endpoint)
    assert done.returncode == 0, done.stderr
    assert "hello from afar" in done.stdout
    path, headers, body = endpoint.requests[0]
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == "Bearer sk-secret-123456"
    assert body["model"] == "big-1"
    assert body["messages"][-1] == {"role": "user", "content": "Say hello"}


def test_a_schema_is_asked_for_and_checked(sluice, endpoint):
    endpoint.script = [endpoint.says('{"n": "no number"}'), endpoint.says('{"n": 5}')]
    schema = ", output: {type: object, required: [n], properties: {n: {type: integer}}}"
    done = run(sluice, endpoint, schema + ", retry: {attempts: 2, delay: 10ms}")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"n": 5}
    assert len(endpoint.requests) == 2
    assert endpoint.requests[0][2]["response_format"]["type"] == "json_schema"


def test_retry_waits_as_long_as_the_server_asks(sluice, endpoint):
    endpoint.script = [endpoint.fails(429, "slow down", Retry_After="1"), endpoint.says("now")]
    begun = time.monotonic()
    done = run(sluice, endpoint, ", retry: {attempts: 2, delay: 1ms}")
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - begun >= 1
    assert "now" in done.stdout


def test_errors_map_to_codes_in_the_servers_own_words(sluice, endpoint):
    for status, code in ((401, "MODEL_AUTH"), (400, "MODEL_REFUSED"), (404, "MODEL_REFUSED"),
                         (429, "RATE_LIMITED"), (503, "MODEL_FAILED")):
        endpoint.script = [endpoint.fails(status, "in its own words")]
        done = run(sluice, endpoint)
        assert done.returncode == 1
        assert code in done.stderr and "in its own words" in done.stderr, done.stderr
        assert "sk-secret" not in done.stderr + done.stdout


def test_the_key_is_never_shown(sluice, endpoint):
    endpoint.script = [endpoint.fails(401, "bad key sk-secret-123456")]
    done = run(sluice, endpoint, "", "--json")
    assert "sk-secret" not in done.stderr + done.stdout


def test_a_missing_key_says_what_to_set(sluice, endpoint):
    endpoint.script = [endpoint.says("x")]
    done = sluice.run_plan(PLAN % (endpoint.url, ""))
    assert done.returncode in (1, 2)
    assert "BIG_KEY" in done.stderr


def test_tools_are_called_and_their_results_go_back(sluice, endpoint):
    call = {"id": "c1", "type": "function",
            "function": {"name": "db__query", "arguments": '{"sql": "select 6 * 7 as y"}'}}
    endpoint.script = [endpoint.says(None, [call]), endpoint.says("it is 42")]
    done = sluice.run_plan("""
sluice: 1
models: {big: {kind: openai, url: "%s", model: big-1}}
tools: {db: {kind: sql}}
steps:
  a: {llm: big, with: {messages: [{role: user, content: "what is it"}], tools: [db.query]}}
result: "{{ steps.a.output }}"
""" % endpoint.url)
    assert done.returncode == 0, done.stderr
    assert "it is 42" in done.stdout
    assert endpoint.requests[0][2]["tools"][0]["function"]["name"] == "db__query"
    last = endpoint.requests[1][2]["messages"][-1]
    assert last["role"] == "tool" and last["tool_call_id"] == "c1" and "42" in last["content"]


def test_model_option_takes_the_place_of_default(sluice, endpoint):
    endpoint.script = [endpoint.says("from the server")]
    plan = sluice.write("plan.yaml", """
sluice: 1
steps: {a: {llm: default, with: {messages: [{role: user, content: hi}]}}}
result: "{{ steps.a.output }}"
""")
    done = sluice("run", plan, "--model", endpoint.url)
    assert done.returncode == 0, done.stderr
    assert "from the server" in done.stdout


def test_many_requests_at_once(sluice, endpoint):
    # Nobody gets an answer before eight are asking at once; one after the other would never end.
    together = threading.Barrier(8, timeout=30)

    def answer(body):
        together.wait()
        return endpoint.says("re: " + body["messages"][-1]["content"])(body)

    endpoint.script = [answer]
    done = sluice.run_plan("""
sluice: 1
models: {big: {kind: openai, url: "%s", model: big-1}}
tools: {n: {kind: process, stdout: lines, effect: pure, command: [seq, "1", "40"]}}
steps:
  n: {tool: n}
  a: {for_each: "{{ steps.n.output }}", llm: big, with: {messages: [{role: user, content: "q{{ item }}"}]}}
result: "{{ steps.a.output }}"
""" % endpoint.url)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [f"re: q{i}" for i in range(1, 41)]
