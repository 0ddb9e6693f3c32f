"""Passes that may change results, with the real binary: two real models of which the smaller is asked first, servers
that give log probabilities and servers that do not, several questions in one call."""

import json
import os
import shutil
import subprocess

import pytest

from conftest import BINARY, Endpoint, environment, wait_until


def says(text, logprobs=None, tokens=3):
    """An answer of a server, with the log probabilities of its tokens where it gives any."""

    def step(body):
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        if logprobs is not None and body.get("logprobs"):
            choice["logprobs"] = {"content": [{"token": "t", "logprob": each, "top_logprobs": []}
                                              for each in logprobs]}
        usage = {"prompt_tokens": 10, "completion_tokens": tokens, "total_tokens": 10 + tokens}
        return 200, {"Content-Type": "application/json"}, {"id": "x", "choices": [choice], "usage": usage}

    return step


@pytest.fixture
def second():
    made = Endpoint()
    yield made
    made.server.shutdown()
    made.server.server_close()


CASCADE = """sluice: 1
{allow}
models:
  small: {{kind: openai, url: "{small}", model: s, price: {{prompt: 1000, completion: 2000}}}}
  large: {{kind: openai, url: "{large}", model: l, first: small, price: {{prompt: 100000, completion: 200000}}}}
steps:
  a: {{for_each: [one, two, three], llm: large, with: {{messages: [{{role: user, content: "{{{{ item }}}}"}}]}}}}
result: "{{{{ steps.a.output }}}}"
"""


def by_words(answers):
    """Answers by what was asked last."""
    return lambda body: answers[body["messages"][-1]["content"]](body)


def cascade(sluice, small, large, *arguments, allow="allow: [small_model_first]", **options):
    return sluice.run_plan(CASCADE.format(allow=allow, small=small.url, large=large.url), *arguments, **options)


def test_a_sure_answer_is_taken_and_else_the_large_model_is_asked(sluice, endpoint, second):
    endpoint.script = [by_words({"one": says("yes", [-0.01, -0.02]), "two": says("perhaps", [-0.01, -3]),
                                 "three": says("never", [-0.1, -0.1])})]
    second.script = [says("no")]
    done = cascade(sluice, endpoint, second)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["yes", "no", "never"]
    assert len(endpoint.requests) == 3 and len(second.requests) == 1
    assert "model small was asked first 3 times and answered 2; large was asked else" in done.stderr
    first = endpoint.requests[0][2]
    assert first["logprobs"] is True and "logprobs" not in second.requests[0][2]
    # The tokens and the money of both.
    step = steps_of(sluice)["a"]
    assert (step["calls"], step["tokens"]) == (3, 4 * 13)
    usd = (3 * (10 * 1 + 3 * 2) + (10 * 100 + 3 * 200)) / 1e3
    assert f"{usd:.4f} usd" in done.stderr and "40 read" in done.stderr


def steps_of(sluice):
    """What the steps of the last run did."""
    return {step["step"]: step for step in sluice.shown(sluice.runs()[0]["run"])["steps"]}


def test_without_allow_only_the_large_model_is_asked(sluice, endpoint, second):
    endpoint.script, second.script = [says("yes", [0])], [says("no")]
    for arguments, allow in (((), ""), (("--without", "small_model_first"), "allow: [small_model_first]"),
                             (("--no-optimize",), "allow: [small_model_first]")):
        done = cascade(sluice, endpoint, second, *arguments, allow=allow)
        assert json.loads(done.stdout) == ["no"] * 3, done.stderr
        assert not endpoint.requests and "asked first" not in done.stderr


def test_a_server_without_log_probabilities_is_never_believed(sluice, endpoint, second):
    endpoint.script, second.script = [says("yes")], [says("no")]
    done = cascade(sluice, endpoint, second)
    assert json.loads(done.stdout) == ["no"] * 3
    assert done.stderr.count("without log probabilities") == 1, done.stderr


def test_a_first_model_that_fails_is_no_failure(sluice, endpoint, second):
    endpoint.script, second.script = [Endpoint.fails(400, "out of order")], [says("no")]
    done = cascade(sluice, endpoint, second)
    assert done.returncode == 0 and json.loads(done.stdout) == ["no"] * 3
    assert "it failed 3 times" in done.stderr and "out of order" in done.stderr


def test_what_both_said_is_kept_apart_from_what_the_large_one_says(sluice, endpoint, second):
    endpoint.script, second.script = [says("yes", [0, 0])], [says("no")]
    plan = CASCADE.replace("llm: large,", "llm: large, cache: {{ttl: 1h}},")
    env = {"SLUICE_CACHE": str(sluice.folder / "cache")}
    for allow, answer in (("allow: [small_model_first]", "yes"), ("", "no"), ("allow: [small_model_first]", "yes")):
        text = plan.format(allow=allow, small=endpoint.url, large=second.url)
        done = sluice.run_plan(text, env=env)
        assert json.loads(done.stdout) == [answer] * 3, done.stderr
    assert len(endpoint.requests) == 3 and len(second.requests) == 3, "each is asked once, then remembered"


def test_a_resumed_run_goes_on_with_both(sluice, endpoint, second):
    endpoint.script, second.script = [says("yes", [0, 0])], [says("no")]
    plan = CASCADE.replace("steps:", "steps:\n  go: {{wait: {{signal: go}}}}").replace(
        "a: {{for_each", "a: {{after: [go], for_each")
    text = plan.format(allow="allow: [small_model_first]", small=endpoint.url, large=second.url)
    process = sluice.start("run", sluice.write("plan.yaml", text))
    wait_until(lambda: sluice.runs() and sluice.runs()[0]["state"] == "waiting")
    process.kill()
    process.communicate()
    run = sluice.runs()[0]["run"]
    assert sluice("signal", run, "go", "null").returncode == 0
    done = sluice("resume", run)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["yes"] * 3
    assert len(endpoint.requests) == 3 and not second.requests


@pytest.fixture
def two_models(tmp_path):
    """The test model and a copy of it in another weight format."""
    folder = tmp_path / "cache" / "models"
    folder.mkdir(parents=True)
    model = folder / "model.gguf"
    shutil.copyfile(os.environ["SLUICE_TEST_MODEL"], model)
    done = subprocess.run([BINARY, "models", "prepare", str(model), "--format", "q4_0"], text=True,
                          capture_output=True, timeout=300, cwd=tmp_path,
                          env=environment(SLUICE_CACHE=str(tmp_path / "cache")))
    assert done.returncode == 0, done.stdout + done.stderr
    (copy,) = (folder / "prepared").glob("*.gguf")
    return model, copy


REAL = """sluice: 1
allow: [small_model_first]
models:
  small: {{kind: embedded, file: "{small}"}}
  large: {{kind: embedded, file: "{large}", first: small, least_confidence: {least}}}
steps:
  a:
    for_each: ["2 + 2 =", "The capital of France is", "Roses are red, violets are"]
    llm: {model}
    with: {{prompt: "{{{{ item }}}}", max_tokens: 4}}
result: "{{{{ steps.a.output }}}}"
"""


def test_two_real_models(sluice, two_models):
    large, small = two_models

    def run(model, least, *arguments):
        done = sluice.run_plan(REAL.format(small=small, large=large, least=least, model=model), "--without",
                               "reuse_results", *arguments)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout), done.stderr

    only_small, only_large = run("small", 0.9)[0], run("large", 0.9, "--without", "small_model_first")[0]
    # Whatever it says is taken; nothing but certainty is.
    believed, told = run("large", 1e-9)
    assert believed == only_small and "asked first 3 times and answered 3" in told
    doubted, told = run("large", 1)
    assert doubted == only_large and "asked first 3 times and answered 0" in told
    # In between each answer is one model's or the other's.
    mixed, told = run("large", 0.5)
    assert all(each in (a, b) for each, a, b in zip(mixed, only_small, only_large)), told


QUESTIONS = """sluice: 1
{allow}
params: {{rows: {{type: array, items: {{type: string}}}}}}
steps:
  kind:
    for_each: "{{{{ params.rows }}}}"
    llm: default
    with: {{max_tokens: 16, messages: [{{role: user, content: "{{{{ item }}}}\\n\\nIs this about an animal or a thing?"}}]}}
    output: {{enum: [animal, thing]}}
  size:
    for_each: "{{{{ params.rows }}}}"
    llm: default
    with: {{max_tokens: 16, messages: [{{role: user, content: "{{{{ item }}}}\\n\\nIs it large or small?"}}]}}
    output: {{enum: [large, small]}}
  word:
    for_each: "{{{{ params.rows }}}}"
    llm: default
    with: {{max_tokens: 8, messages: [{{role: user, content: "{{{{ item }}}}\\n\\nSay it in one word."}}]}}
result:
  kind: "{{{{ steps.kind.output }}}}"
  size: "{{{{ steps.size.output }}}}"
  word: "{{{{ steps.word.output }}}}"
"""
ROWS = json.dumps({"rows": ["The cat sat on the mat.", "The tower is 300 metres high."]})


def test_questions_in_one_call_of_a_real_model(sluice):
    counts = []
    for allow in ("", "allow: [ask_together]"):
        sluice.write("params.json", ROWS)
        done = sluice.run_plan(QUESTIONS.format(allow=allow), "--params", "params.json", "--without",
                               "reuse_results")
        assert done.returncode == 0, done.stderr
        result = json.loads(done.stdout)
        assert all(each in ("animal", "thing") for each in result["kind"])
        assert all(each in ("large", "small") for each in result["size"])
        assert all(isinstance(each, str) for each in result["word"]) and len(result["word"]) == 2
        counts.append(sum(step["calls"] for step in steps_of(sluice).values()))
    assert counts == [6, 2]


def test_explain_says_what_is_asked_together(sluice):
    done = sluice("explain", sluice.write("plan.yaml", QUESTIONS.format(allow="allow: [ask_together]")))
    assert done.returncode == 0, done.stderr
    assert "kind_together asks kind, size, word in one call" in done.stdout
