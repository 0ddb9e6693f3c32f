"""How fast the model alone could be: every different prompt token computed once, at the rate measured
for its depth, and every token of output in full batches at the rate measured for theirs. Rates come from
what `sluice models calibrate` measured (our kernels: what our aim is judged by) and from llama.cpp's own
llama-batched-bench."""

import bisect
import json
import subprocess

from workloads import OVERLOAD, RUNNING

DEPTHS = [128, 1024, 2048, 3072]
BATCHES = [1, 2, 4, 8, 16]
STEP_DEPTHS = [128, 1536]


class Rates:
    """prefill: [(n, seconds for the first n tokens)]; decode: {batch: [(depth, seconds of a step)]}."""

    def __init__(self, prefill, decode):
        self.prefill = [(0, 0.0), *sorted(prefill)]
        self.decode = {batch: sorted(points) for batch, points in decode.items()}

    def chunk_s(self, depth, tokens):
        return line_at(self.prefill, depth + tokens) - line_at(self.prefill, depth)

    def step_s(self, batch, depth):
        below = max((b for b in self.decode if b <= batch), default=min(self.decode))
        above = min((b for b in self.decode if b >= batch), default=max(self.decode))
        low, high = (line_at(self.decode[b], depth) for b in (below, above))
        return low if below == above else low + (high - low) * (batch - below) / (above - below)


def line_at(points, x):
    """Linear between the points and beyond the last ones."""
    if len(points) == 1:
        return points[0][1]
    at = min(max(bisect.bisect_left(points, (x, 0.0)), 1), len(points) - 1)
    (x0, y0), (x1, y1) = points[at - 1], points[at]
    return y0 + (y1 - y0) * (x - x0) / (x1 - x0)


def measure(program, model, threads):
    """llama.cpp's own numbers: one prompt of each depth, then steps of each batch behind it."""
    def lines(arguments):
        done = subprocess.run(
            [program, "-m", model, "-t", str(threads), "-b", "2048", "-ub", "512",
             "--output-format", "jsonl", *arguments], capture_output=True, text=True, timeout=600)
        if done.returncode != 0:
            raise SystemExit(f"{program} ended with {done.returncode}:\n{done.stderr[-2000:]}")
        return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    words = ",".join(map(str, DEPTHS))
    prefill = lines(["-c", "3200", "-npp", words, "-ntg", "1", "-npl", "1"])
    decode = lines(["-c", str(16 * 1600), "-npp", ",".join(map(str, STEP_DEPTHS)), "-ntg", "8", "-pps",
                    "-npl", ",".join(map(str, BATCHES))])
    return Rates([(row["pp"], row["t_pp"]) for row in prefill],
                 {batch: [(row["pp"], row["t_tg"] / row["tg"]) for row in decode
                          if row["pl"] == batch] for batch in BATCHES})


def from_calibration(cost):
    """The same from the JSON of `sluice models calibrate` (cost/instance_cost.h)."""
    cost = cost.get("cost", cost)
    curve = sorted((tokens, seconds) for tokens, seconds in cost["curve"])

    def alone(tokens):
        return line_at([(0, 0.0), *curve], tokens) if tokens < curve[0][0] else line_at(curve, tokens)

    def prefill_s(tokens, chunk=512):
        total, depth = 0.0, 0
        while depth < tokens:
            part = min(chunk, tokens - depth)
            total += alone(part) + cost["prefill_cell_s"] * part * (depth + (part + 1) / 2)
            depth += part
        return total
    return Rates([(depth, prefill_s(depth)) for depth in DEPTHS],
                 {batch: [(depth, alone(batch) + batch * cost["decode_cell_s"] * depth)
                          for depth in STEP_DEPTHS] for batch in BATCHES})


def common_tokens(answers):
    """The beginning that all prompts share (the chat template, a manual): the least that was found
    cached where anything was."""
    return min((answer.cached_tokens for answer in answers if answer.cached_tokens), default=0)


def steps_s(rates, answers, in_flight, chosen=1.0):
    """All output in batches of in_flight; of its tokens the share `chosen` is asked of the model one by
    one, the rest is forced by a grammar and computed like a prompt."""
    depth = sum(answer.prompt_tokens for answer in answers) / max(1, len(answers))
    tokens = sum(answer.completion_tokens for answer in answers)
    forced = round(tokens * (1 - chosen))
    return ((tokens - forced) / in_flight * rates.step_s(in_flight, depth) +
            forced * rates.chunk_s(depth, 128) / 128)


def docs_s(rates, answers, in_flight):
    """Every document once, every question behind it, all output in batches of in_flight."""
    prompts, shared = {}, common_tokens(answers)
    for answer in answers:
        prompts.setdefault(answer.name.split()[0], []).append(answer.prompt_tokens)
    total = rates.chunk_s(0, shared)
    for lengths in prompts.values():
        document = min(lengths) - 15  # the shortest question's own part
        total += rates.chunk_s(shared, document - shared)
        total += sum(rates.chunk_s(document, length - document) for length in lengths)
    return total + steps_s(rates, answers, in_flight)


def agents_s(rates, answers, sessions):
    """Every session's text once (the shared manual once over all), output in batches of all sessions."""
    shared = common_tokens(answers)
    total, depth_of = rates.chunk_s(0, shared), {}
    for answer in answers:
        name = answer.name.split()[0]
        depth = depth_of.get(name, shared)
        total += rates.chunk_s(depth, max(0, answer.prompt_tokens - depth))
        depth_of[name] = answer.prompt_tokens + answer.completion_tokens
        total += answer.completion_tokens / sessions * rates.step_s(sessions, answer.prompt_tokens)
    return total


def apart_s(rates, answers, in_flight, chosen=1.0):
    """Prompts that share nothing but their beginning."""
    shared = common_tokens(answers)
    return (rates.chunk_s(0, shared) + steps_s(rates, answers, in_flight, chosen) +
            sum(rates.chunk_s(shared, max(0, answer.prompt_tokens - shared)) for answer in answers))


def row_s(row, rates, size, answers, chosen=1.0):
    """Seconds of a row's wall, None where its load is a matter of time and not of work (trace)."""
    good = [answer for answer in answers if not answer.error]
    kind = row.partition("-")[0]
    if kind == "docs":
        return docs_s(rates, good, size.in_flight)
    if kind == "agents":
        return agents_s(rates, good, size.sessions)
    if kind == "mixed":  # the two long clients and, most of the time, one short request
        return apart_s(rates, good, 3)
    if kind == "objects":
        return apart_s(rates, good, size.in_flight, chosen)
    if kind == "fair":  # the wall is that of both tenants' overload
        return apart_s(rates, [answer for answer in good if answer.name.startswith(OVERLOAD)], RUNNING)
    return None
