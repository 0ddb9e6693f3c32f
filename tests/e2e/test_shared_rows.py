"""Rows whose prompts begin with the same document, far apart: asked document by document, each document is computed
once. With the real model, by the tokens that its engine had to compute."""

import json
import os

import pytest

DOCUMENTS, QUESTIONS = 6, 3
WORDS = ("river stone lamp garden winter market bridge letter engine harvest violin mountain candle harbor window "
         "ladder bottle forest signal copper").split()


def document(number):
    """About 130 tokens that no other document begins with."""
    words = [WORDS[(number * 7 + i * (number + 3)) % len(WORDS)] for i in range(110)]
    return f"Record {number}: " + " ".join(words)


def rows():
    """Question by question: the rows of a document lie as many rows apart as there are documents."""
    return [{"doc": document(d), "ask": f"Question {q}: how many?"} for q in range(QUESTIONS) for d in range(DOCUMENTS)]


def plan(lifetime):
    return {
        "sluice": 1,
        "params": {"rows": {}},
        "models": {"default": {"kind": "embedded", "file": os.environ["SLUICE_TEST_MODEL"], "context": 256,
                               "pool": 512, "concurrency": 2, "policies": {"lifetime": lifetime}}},
        "steps": {"ask": {
            "for_each": "{{ params.rows }}", "llm": "default",
            "with": {"prompt": "{{ item.doc }}\n{{ item.ask }}\n", "max_tokens": 2, "temperature": 0}}},
        "result": "{{ steps.ask.output }}",
    }


def run(sluice, lifetime, *switches):
    """The answers, the prompt tokens that were computed, and the rows in the order in which they were asked."""
    name = sluice.write("plan.yaml", json.dumps(plan(lifetime)))
    values = sluice.write("params.json", json.dumps({"rows": rows()}))
    done = sluice("run", name, "--params", values, "--json", "--without", "reuse_results", *switches)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    started = [e["item"] for e in events if e["event"] == "call_started"]
    result = next(e for e in events if e["event"] == "result")
    assert len(started) == DOCUMENTS * QUESTIONS
    return result["result"], result["usage"]["prompt_tokens"] - result["usage"]["cached_tokens"], started


@pytest.mark.parametrize("lifetime", ["drop", "cost"])
def test_each_document_is_computed_once(sluice, lifetime):
    grouped, once, order = run(sluice, lifetime)
    plain, often, by_item = run(sluice, lifetime, "--without", "group_by_prefix")
    print(f"lifetime {lifetime}: {often} tokens computed as written, {once} document by document")
    assert by_item == list(range(DOCUMENTS * QUESTIONS))
    assert order == [d + q * DOCUMENTS for d in range(DOCUMENTS) for q in range(QUESTIONS)]
    assert len(grouped) == len(plain) == DOCUMENTS * QUESTIONS
    if lifetime == "drop":
        assert once * 2 < often
    assert once <= often
