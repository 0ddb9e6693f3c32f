"""Replays a chat trace in Mooncake's format: one JSON object a line with timestamp (ms), input_length,
output_length and hash_ids, one per 512 tokens of the prompt; equal ids mean an equal prefix."""

import asyncio
import json
import pathlib
import time

import texts
from workloads import Outcome

BLOCK_TOKENS = 512
LONGEST_PROMPT = 3500
# Good is a request whose first token came within this time and whose later ones came, on average, so fast.
FIRST_TOKEN_S = 5.0
TOKEN_S = 0.25


def read(path, minutes, scale, share):
    """The requests of the first minutes, lengths divided by `scale`; of the conversations (those that
    agree in their second block) only one in `share`, whole."""
    kept = []
    for line in pathlib.Path(path).read_text().splitlines():
        request = json.loads(line)
        if request["timestamp"] >= minutes * 60_000:
            break
        conversation = request["hash_ids"][min(1, len(request["hash_ids"]) - 1)]
        if conversation % share == 0:
            kept.append(request)
    return [(request["timestamp"] / 1000, prompt_of(request, scale),
             max(1, round(request["output_length"] / scale))) for request in kept]


def prompt_of(request, scale):
    """Text for each block, the same wherever the block's id is the same. Blocks shorter than a sentence
    share one, and since an id stands for all blocks before it too, equal ids still are equal text."""
    tokens = min(LONGEST_PROMPT, request["input_length"] / scale)
    pieces, due = [], 0.0
    for id_ in request["hash_ids"]:
        block = min(BLOCK_TOKENS / scale, tokens)
        tokens -= block
        due += block
        sentences = round(due / texts.TOKENS_PER_SENTENCE)
        if sentences:
            pieces.append(texts.document(f"block {id_}", sentences * texts.TOKENS_PER_SENTENCE))
            due -= sentences * texts.TOKENS_PER_SENTENCE
        if tokens <= 0:
            break
    return [texts.user(" ".join(pieces or [texts.document(f"block {request['hash_ids'][0]}", 1)]))]


def workload(requests):
    async def trace(client, _):
        start = time.perf_counter()

        async def one(number, at, messages, max_tokens):
            await asyncio.sleep(max(0.0, start + at - time.perf_counter()))
            return await client.chat(messages, max_tokens, "trace", name=f"r{number}")
        answers = list(await asyncio.gather(*(one(number, *request)
                                              for number, request in enumerate(requests))))
        wall = time.perf_counter() - start
        good = sum(1 for answer in answers if is_good(answer))
        return Outcome(answers, wall, facts={"goodput_per_s": good / wall, "good": good,
                                             "of": len(answers)})
    return trace


def is_good(answer):
    if answer.error or not answer.first_s or answer.first_token_seconds > FIRST_TOKEN_S:
        return False
    times = answer.token_times
    return len(times) < 2 or (times[-1] - times[0]) / (len(times) - 1) <= TOKEN_S
