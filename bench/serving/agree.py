"""Plain questions, one at a time, greedy, the same file on both sides: how many answers are equal, and
where they part, by how much the token that was chosen led the other side's (log probability)."""

import argparse
import asyncio
import dataclasses
import statistics

import http_client
import servers
import settings
from sides import converted, our_environment, peer_setup, say, told
from workloads import Size

QUESTIONS = [
    "What is the capital of France, and what is it known for?", "Why is the sky blue?",
    "Write a short poem about the sea.", "How do I boil an egg?", "Explain what a database index is.",
    "Name three animals that live in the desert.", "What happens when water freezes?",
    "Give me a recipe for a simple soup.", "Who invented the telephone?",
    "Describe a busy market in the morning.", "What is the difference between a river and a lake?",
    "Tell me a story about a lost dog.", "How does a bicycle stay upright?",
    "What should I pack for a week in the mountains?", "Explain photosynthesis to a child.",
    "Write a polite letter that asks for a refund."]
TOKENS, ALTERNATIVES = 32, 5
# With more threads attention adds up in an order that follows the pool's fill, on both sides.
THREADS = 1
# What the chosen token may lead by where two answers part. With ggml's attention none may: both sides
# compute the same sums. Our kernel rounds elsewhere, and the products of 8 bits behind it make more of
# that (docs/architecture/attention.md): near ties may go another way, and nothing else.
BARS = {"ggml": 0.0, "plain": 0.5}
POOL = Size(pool_tokens=4096)


@dataclasses.dataclass
class Parting:
    """The first difference of two answers; a lead is that of the token that a side chose over the
    one that the other side chose, or over the last one known where that is not among them."""
    question: int
    at: int
    peer: str
    ours: str
    peer_lead: float
    our_lead: float

    @property
    def lead(self):
        return max(self.peer_lead, self.our_lead)


def token_of(entry):
    return bytes(entry["bytes"]) if entry.get("bytes") else entry["token"].encode()


def lead(entry, other):
    """Of the token that `entry` is over the token `other` (None: the answer ended there)."""
    others = [top for top in entry["top_logprobs"] if token_of(top) != token_of(entry)]
    found = [top["logprob"] for top in others if other is not None and token_of(top) == other]
    known = found or [top["logprob"] for top in others][-1:]
    return max(0.0, entry["logprob"] - known[0]) if known else float("inf")


def parting(question, peer, ours):
    """Where two answers part first, None where they are equal; of answers that one is the other's
    beginning, the one that goes on tells the lead."""
    at = next((at for at, (a, b) in enumerate(zip(peer, ours)) if token_of(a) != token_of(b)),
              min(len(peer), len(ours)))
    if at == len(peer) == len(ours):
        return None
    theirs, own = (side[at] if at < len(side) else None for side in (peer, ours))
    their_token, own_token = (entry and token_of(entry) for entry in (theirs, own))
    return Parting(question, at, *((entry["token"] if entry else "(end)") for entry in (theirs, own)),
                   *(lead(entry, other) if entry else 0.0
                     for entry, other in ((theirs, own_token), (own, their_token))))


async def ask(setup, logs, questions):
    """The tokens of each answer as the server tells them."""
    server = servers.Server(setup, logs)
    answers = []
    try:
        await server.ready()
        client = http_client.Client(server.port, {"model": await http_client.model_name(server.port)})
        for number, question in enumerate(questions):
            answer = await client.chat(
                [{"role": "user", "content": question}], TOKENS, "agree", name=f"a{number}",
                stream=False, fields={"logprobs": True, "top_logprobs": ALTERNATIVES})
            if answer.error or not answer.logprobs:
                raise SystemExit(f"{setup.name}: no answer with log probabilities: {answer.error}")
            answers.append(answer.logprobs)
    finally:
        server.stop()
    return answers


def compare(peer, ours):
    """(equal, [Parting]) of two lists of answers."""
    partings = [parting(number, *pair) for number, pair in enumerate(zip(peer, ours))]
    return partings.count(None), [one for one in partings if one]


def our_setup(options, model, kind):
    """The file as it is, also where a copy in another format is prepared."""
    environment = dict(our_environment(options, model, kind), SLUICE_WEIGHTS="as-is")
    return servers.Setup("sluice", settings.name_of(kind), options.sluice, model,
                         settings.ours(kind, POOL.pool_tokens, options.threads),
                         tuple(environment.items()))


def measure(options, name, logs):
    """A line for our kernel and one for ggml's."""
    options = argparse.Namespace(**{**vars(options), "threads": THREADS})
    model = converted(options, name)
    questions = QUESTIONS[:4] if options.quick else QUESTIONS
    peer_side = peer_setup(options, model, settings.Peer(1), POOL)
    say(f"agree, {name}: {peer_side.name}")
    peer, lines = asyncio.run(ask(peer_side, logs, questions)), []
    for kind, bar in BARS.items():
        side = our_setup(options, model, kind)
        say(f"agree, {name}: {side.name}")
        equal, partings = compare(peer, asyncio.run(ask(side, logs, questions)))
        leads = [one.lead for one in partings]
        for one in partings:
            print(f"  agree · {name} · {side.name}: question {one.question + 1} parts at token "
                  f"{one.at + 1}: {one.peer!r} led by {one.peer_lead:.3f} there, {one.ours!r} by "
                  f"{one.our_lead:.3f} here", flush=True)
        lines.append({"row": "agree", "format": name, "side": side.name, "kind": kind,
                      "setups": {"peer": told(peer_side), kind: told(side)}, "tokens": TOKENS,
                      "asked": len(questions), "equal": equal, "largest": max(leads, default=0.0),
                      "median": statistics.median(leads) if leads else 0.0, "bar": bar,
                      "met": not leads or max(leads) <= bar and bar > 0,
                      "partings": [dataclasses.asdict(one) for one in partings]})
    return lines
