"""The workloads of bench/serving. Each is a coroutine (client, size) -> Outcome; what it sends follows
from the size alone, so both sides get the same requests at the same moments, as far as their own answers
are not part of them."""

import asyncio
import dataclasses
import json
import random
import statistics
import time

import texts


@dataclasses.dataclass
class Outcome:
    answers: list
    wall_s: float = 0
    jobs: list = dataclasses.field(default_factory=list)  # seconds of whole jobs
    facts: dict = dataclasses.field(default_factory=dict)

    @property
    def failed(self):
        return sum(1 for answer in self.answers if answer.error)


@dataclasses.dataclass(frozen=True)
class Size:
    """How much of a workload; the fields that it does not use are 0."""
    documents: int = 0
    questions: int = 0
    in_flight: int = 0
    sessions: int = 0
    turns: int = 0
    long_requests: int = 0
    prompt_tokens: int = 0
    max_tokens: int = 0
    count: int = 0
    overload: tuple = (40, 80)  # fair: the flood's requests in flight, and how many each tenant sends
    pool_tokens: int = 0  # KV cells of the server; 0: its own choice


async def in_order(jobs, in_flight):
    """Runs the coroutine functions in this order, `in_flight` at a time."""
    left = iter(jobs)
    done = []

    async def worker():
        for job in left:
            done.append(await job())
    await asyncio.gather(*(worker() for _ in range(in_flight)))
    return done


async def docs(client, size):
    """Every document gets question 1, then every document question 2, and so on."""
    def job(question, document):
        return lambda: client.chat(
            texts.question_about(document, size.prompt_tokens, question), size.max_tokens, "doc",
            name=f"d{document} q{question}", stream=False)
    start = time.perf_counter()
    answers = await in_order([job(question, document) for question in range(size.questions)
                              for document in range(size.documents)], size.in_flight)
    return Outcome(answers, time.perf_counter() - start)


MANUAL = """You work through tasks with tools. Tools: search(words) finds notes; read(name) opens one;
compute(expression) gives a number; write(name, text) keeps one. After each result say in a few sentences
what you learned, what is still unknown, and which call you make next and why. """


async def session(client, size, number, started):
    """One agent: its prompt grows by its own answer and a tool's result; ends where a turn fails."""
    await asyncio.sleep(0.4 * number)
    start = time.perf_counter()
    grow = (size.prompt_tokens * 4 // 5) // size.turns
    messages = [{"role": "system", "content": MANUAL + texts.document("manual", 200)},
                texts.user("Your task: " + texts.document(f"task {number}", grow))]
    answers, waits = [], texts.pauses(number, size.turns)
    for turn in range(size.turns):
        answer = await client.chat(messages, size.max_tokens, "turn", tenant=f"agent{number}",
                                   name=f"s{number} t{turn}",
                                   fields=client.hints(f"{started}-{number}", turn, size.turns,
                                                       size.max_tokens))
        answers.append(answer)
        if answer.error:
            break
        if turn + 1 < size.turns:
            await asyncio.sleep(waits[turn])
            messages += [{"role": "assistant", "content": answer.text},
                         texts.user("Result of the call: " +
                                    texts.document(f"result {number} {turn}", grow))]
    return answers, time.perf_counter() - start


async def agents(client, size):
    start = time.perf_counter()
    done = await asyncio.gather(*(session(client, size, number, int(start * 1000))
                                  for number in range(size.sessions)))
    waited = sum(sum(texts.pauses(number, size.turns)[:-1]) for number in range(size.sessions))
    return Outcome([answer for answers, _ in done for answer in answers],
                   time.perf_counter() - start,
                   jobs=[seconds for answers, seconds in done if not answers[-1].error],
                   facts={"mean_pauses_s": waited / size.sessions})


async def mixed(client, size):
    """A short request every second beside two clients that send long prompts one after the other."""
    stop = asyncio.Event()
    shorts = []

    async def long_client(number):
        return [await client.chat(
            texts.question_about(f"long {number} {turn}", size.prompt_tokens, turn),
            size.max_tokens, "long", tenant="long", name=f"l{number} {turn}")
            for turn in range(size.long_requests)]

    async def short_clock():
        number = 0
        while not stop.is_set():
            shorts.append(asyncio.create_task(client.chat(
                texts.question_about(f"short {number}", 30, number), 16, "short", tenant="short",
                name=f"s{number}")))
            number += 1
            try:
                await asyncio.wait_for(stop.wait(), 1.0)
            except asyncio.TimeoutError:
                pass
    start = time.perf_counter()
    clock = asyncio.create_task(short_clock())
    longs = sum(await asyncio.gather(long_client(0), long_client(1)), [])
    wall = time.perf_counter() - start
    stop.set()
    await clock
    answers = longs + list(await asyncio.gather(*shorts))
    tokens = sum(answer.prompt_tokens + answer.completion_tokens for answer in longs
                 if not answer.error)
    return Outcome(answers, wall, facts={"long_tokens_per_s": tokens / wall})


KINDS = ["book", "tool", "garment", "furniture", "instrument", "vehicle"]
COLOURS = ["red", "green", "blue", "black", "white", "brown", "yellow"]
CONDITIONS = ["new", "nearly new", "used", "worn", "broken"]
OFFICES = ["north", "south", "east", "west", "central"]
OBJECT_SCHEMA = {
    "type": "object", "additionalProperties": False,
    "properties": {"kind": {"type": "string", "enum": KINDS},
                   "name": {"type": "string", "minLength": 3, "maxLength": 32},
                   "colour": {"type": "string", "enum": COLOURS},
                   "price": {"type": "integer", "minimum": 1, "maximum": 9999},
                   "condition": {"type": "string", "enum": CONDITIONS},
                   "owner": {"type": "string", "minLength": 3, "maxLength": 24},
                   "office": {"type": "string", "enum": OFFICES},
                   "returnable": {"type": "boolean"}}}
OBJECT_SCHEMA["required"] = list(OBJECT_SCHEMA["properties"])


def is_whole_object(text):
    """What the schema demands, checked by hand: this is the bench's own judgement of both sides."""
    try:
        got = json.loads(text)
    except ValueError:
        return False
    return (isinstance(got, dict) and set(got) == set(OBJECT_SCHEMA["required"])
            and got["kind"] in KINDS and got["colour"] in COLOURS
            and got["condition"] in CONDITIONS and got["office"] in OFFICES
            and isinstance(got["price"], int) and 1 <= got["price"] <= 9999
            and isinstance(got["returnable"], bool)
            and all(isinstance(got[key], str) for key in ("name", "owner")))


def object_prompt(number):
    random_ = random.Random(f"object {number}")
    pick = random_.choice
    return [texts.user(
        "Give the record of this lost thing as JSON with the fields kind, name, colour, price, "
        f"condition, owner, office, returnable.\n\nFound {pick(texts.PLACES)}: a {pick(COLOURS)} "
        f"{pick(texts.NOUNS)}, {pick(CONDITIONS)}, a {pick(KINDS)}, worth about "
        f"{random_.randint(5, 900)} crowns. It belongs to {pick(texts.NAMES)} {pick(texts.NAMES)}son. "
        f"It lies in the {pick(OFFICES)} office. {texts.sentence(random_)}")]


async def objects(client, size):
    form = {"response_format": {"type": "json_schema", "json_schema": {
        "name": "lost_thing", "strict": True, "schema": OBJECT_SCHEMA}}}

    def job(number):
        return lambda: client.chat(object_prompt(number), size.max_tokens, "object",
                                   name=f"o{number}", stream=False, fields=form)
    start = time.perf_counter()
    answers = await in_order([job(number) for number in range(size.count)], size.in_flight)
    wall = time.perf_counter() - start
    whole = 0
    for answer in answers:
        if not answer.error and is_whole_object(answer.text):
            whole += 1
        elif not answer.error:
            answer.error = f"no whole object ({answer.finish}): {answer.text[:200]}"
    return Outcome(answers, wall, facts={"objects_per_s": whole / wall})


OVERLOAD = "overload"
RUNNING = 16  # requests that a server computes at a time, for VTC's bound


async def tenant_load(client, size, phase, tenant, workers, count, stop=None):
    """`workers` clients of a tenant, each sending its next request when the last is answered. No phase
    asks what another has asked: a prompt that is kept already says nothing about sharing."""
    numbers = iter(range(count))
    answers = []

    async def worker():
        for number in numbers:
            if stop and stop.is_set():
                return
            answers.append(await client.of_tenant(tenant).chat(
                texts.question_about(f"{phase} {tenant} {number}", size.prompt_tokens, number),
                size.max_tokens, tenant, tenant=tenant, name=f"{phase} {tenant} {number}"))
    await asyncio.gather(*(worker() for _ in range(workers)))
    return answers


def service(answers, now):
    """VTC's service until `now`: 1 a computed prompt token (once it is), 2 a token of output."""
    total = 0.0
    for answer in answers:
        events = len(answer.token_times)  # a server may send several tokens in one
        if events and answer.first_s <= now:
            sent = sum(1 for at in answer.token_times if at <= now)
            total += answer.computed_tokens + 2 * answer.completion_tokens * sent / events
    return total


# What prompts of one tenant may have in common: the chat template and some words of a question.
CACHED_AT_MOST = 64


def check_little_is_cached(answers):
    """Ends the bench where tenants were measured on prompts that the server already had."""
    good = [answer for answer in answers if not answer.error]
    cached = sum(answer.cached_tokens for answer in good)
    if cached > CACHED_AT_MOST * len(good):
        prompts = sum(answer.prompt_tokens for answer in good)
        raise SystemExit(f"fair: {cached} of {prompts} prompt tokens were cached, more than "
                         f"{CACHED_AT_MOST} a request: the phases are not apart")


async def fair(client, size):
    """The second tenant alone, then beside one that keeps ten times as many requests in flight, then
    (service difference) both with more than the server can take at once."""
    alone = await tenant_load(client, size, "alone", "second", size.in_flight, size.count)
    stop = asyncio.Event()
    flood = asyncio.create_task(tenant_load(client, size, "beside", "flood", 10 * size.in_flight,
                                            10**6, stop))
    await asyncio.sleep(2)
    beside = await tenant_load(client, size, "beside", "second", size.in_flight, size.count)
    stop.set()
    flooded = await flood
    start = time.perf_counter()
    both = await asyncio.gather(
        tenant_load(client, size, OVERLOAD, "flood", *size.overload),
        tenant_load(client, size, OVERLOAD, "second", size.overload[0] // 2, size.overload[1]))
    wall = time.perf_counter() - start
    answers = alone + beside + flooded + both[0] + both[1]
    check_little_is_cached(answers)
    end = min(max(answer.start_s for answer in part) for part in both)
    samples = [start + (end - start) * step / 50 for step in range(51)]
    gap = max(abs(service(both[0], now) - service(both[1], now)) for now in samples)
    computed = statistics.median(answer.computed_tokens for answer in alone)
    bound = 2 * max(computed, 2 * RUNNING * (computed + size.max_tokens))
    return Outcome(answers, wall,
                   facts={"alone": [answer.seconds for answer in alone],
                          "beside": [answer.seconds for answer in beside],
                          "service_gap": gap, "vtc_bound": bound})
