"""While a tool runs, the engine computes what is known of the next turn: the model's own call, as it stands in a
conversation. With the real model, by what its engine found of the next prompt."""

import json

# The model is made to write a long call, which then stands in the next prompt.
REASON = ("the order was placed twice by mistake and the second parcel came back unopened to the store in the old "
          "town, where it was checked, weighed and put on the shelf beside the other returned goods ") * 2
AGENT = """sluice: 1
tools:
  orders:
    kind: python
    file: orders.py
    functions:
      refund:
        effect: idempotent
        description: Pays an order back
        input: {type: object, required: [order, reason], additionalProperties: false,
                properties: {order: {enum: [4711]}, reason: {enum: ["%s"]}}}
steps:
  agent:
    llm: default
    on_error: {value: none}
    output: {enum: [paid, failed]}
    with:
      tools: [orders.refund]
      turns: 2
      max_tokens: 300
      temperature: 0
      messages: [{role: user, content: "Call the tool orders__refund."}]
result: "{{ steps.agent.status }}"
"""

SLOW = """import time

def refund(order, reason):
    time.sleep(%s)
    return "done"
"""


def turns(sluice, pause_s):
    """Of each turn of the agent: the prompt's tokens and how many of them were there already."""
    sluice.write("orders.py", SLOW % pause_s)
    done = sluice.run_plan(AGENT % REASON, "--json")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    usages = [e["usage"] for e in events if e["event"] == "call_ended" and "usage" in e]
    assert len(usages) == 2, done.stdout[-3000:] + done.stderr
    return [(u["prompt_tokens"], u["cached_tokens"]) for u in usages]


def test_a_run_computes_the_next_turn_while_its_tool_runs(sluice):
    (first, _), (second, found) = turns(sluice, 1.5)
    print(f"prompt {first}, then {second} of which {found} were there")
    assert second > first + 60, "the call and its result stand in the second prompt"
    # In the pool without it: the first prompt, and of the call the few tokens that a conversation writes as the
    # grammar let the model write them (202 of 320). With it all but the tool's result is there (303).
    assert found > first + 60
    assert second - found < 40
