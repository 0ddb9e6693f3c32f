"""What is read off an outcome, and which of it a row is about."""

import statistics

from figures import common_start, format_number, percentile


def measures(workload, outcome):
    """{name: number} of one run of a workload on one side."""
    good = [answer for answer in outcome.answers if not answer.error]
    numbers = {"wall s": outcome.wall_s, "requests": len(outcome.answers), "failed": outcome.failed,
               "prompt tokens": sum(answer.prompt_tokens for answer in good),
               "cached tokens": sum(answer.cached_tokens for answer in good),
               "output tokens": sum(answer.completion_tokens for answer in good)}
    kind = "short" if workload == "mixed" else None
    timed = [answer for answer in good if answer.first_s and kind in (None, answer.kind)]
    if timed:
        first = [answer.first_token_seconds for answer in timed]
        numbers["ttft p50 s"] = percentile(first, 0.5)
        numbers["ttft p99 s"] = percentile(first, 0.99)
        gaps = [answer.slowest_gap for answer in timed if len(answer.token_times) > 1]
        numbers["slowest gap p95 s"] = percentile(gaps, 0.95)
    facts = outcome.facts
    if outcome.jobs:
        numbers["mean job s"] = statistics.fmean(outcome.jobs)
        numbers["p95 job s"] = percentile(outcome.jobs, 0.95)
    for name, key in (("long tokens/s", "long_tokens_per_s"), ("objects/s", "objects_per_s"),
                      ("goodput/s", "goodput_per_s"), ("good", "good")):
        if key in facts:
            numbers[name] = facts[key]
    if "alone" in facts:
        numbers["p95 alone s"] = percentile(facts["alone"], 0.95)
        numbers["p95 beside s"] = percentile(facts["beside"], 0.95)
        numbers["beside / alone"] = numbers["p95 beside s"] / numbers["p95 alone s"]
        numbers["service gap"] = facts["service_gap"]
        numbers["VTC bound"] = facts["vtc_bound"]
    return numbers


# The measures that a workload's line is about: (name, bar same file, bar same format); ratios are
# peer / ours for times and ours / peer for rates, so that higher is better for us everywhere. The
# bars of `fair` are about our side alone and stand in OWN_BARS: at most so much.
HEADLINES = {
    "docs": [("wall s", 2.2, 1.4)],
    "agents": [("mean job s", 2.0, 1.3)],
    "mixed": [("ttft p99 s", 10, 10), ("ttft p50 s", None, None), ("long tokens/s", 0.95, 0.95)],
    "objects": [("objects/s", 2.5, 1.8)],
    "fair": [("beside / alone", None, None), ("service gap", None, None)],
    "trace": [("goodput/s", None, None), ("ttft p50 s", None, None)],
}


OWN_BARS = {"fair": [("beside / alone", lambda numbers: 1.3),
                     ("service gap", lambda numbers: numbers["VTC bound"])]}


# At least so much of the bound by our own rates.
AIM, AIMED = 0.85, ("docs", "agents", "agents-16")


def headline(row):
    return HEADLINES[row.partition("-")[0]]


def higher_is_better(name):
    return name.endswith("/s")


def ratio(name, peer, ours):
    higher = higher_is_better(name)
    top, bottom = (ours, peer) if higher else (peer, ours)
    return top / bottom if bottom else float("nan")


def agreement(left, right):
    """(equal answers, compared, equal leading characters' share) of two sides' texts by request name."""
    texts = {answer.name: answer.text for answer in right if not answer.error}
    pairs = [(answer.text, texts[answer.name]) for answer in left
             if not answer.error and answer.name in texts]
    same = sum(1 for a, b in pairs if a == b)
    leading = sum(common_start(a, b) / max(1, len(a), len(b)) for a, b in pairs)
    return same, len(pairs), leading / max(1, len(pairs))


def print_run(workload, setup_name, numbers):
    words = ", ".join(f"{name} {format_number(value)}" for name, value in numbers.items())
    print(f"  {workload} · {setup_name}: {words}", flush=True)
