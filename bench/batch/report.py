"""What is read off the runs of a pipeline, and the tables."""

import collections
import json
import statistics

from figures import common_start, spread

# Their seconds over ours, at least.
BARS = {"triage": {"async": 3.0, "langgraph": 3.0, "expert": 1.15},
        "documents": {"async": 2.0, "langgraph": 2.0, "expert": 1.15},
        "lookup": {"expert": 1.15}}
PLANNING_MS, PLANNING_SHARE = 50, 0.01
ESTIMATE_WITHIN = 0.30


def verdict(good):
    return "met" if good else "MISSED"


def flat(result, path=""):
    """{path: value} of a result's parts; a list is one part."""
    if isinstance(result, dict):
        out = {}
        for name, value in result.items():
            out.update(flat(value, f"{path}.{name}" if path else name))
        return out
    return {path: result}


def agreement(left, right):
    """How far two sides' results are equal, row by row, and where they part."""
    parts, shared_text, texts = collections.Counter(), 0.0, 0
    equal = 0
    for a, b in zip(left, right):
        if a == b:
            equal += 1
            continue
        if a is None or b is None:
            parts["there on one side only"] += 1
            continue
        one, other = flat(a), flat(b)
        for path in sorted(set(one) | set(other)):
            x, y = one.get(path), other.get(path)
            if x == y:
                continue
            parts[path] += 1
            if isinstance(x, str) and isinstance(y, str):
                texts += 1
                shared_text += common_start(x, y) / max(1, len(x), len(y))
    return {"equal": equal, "rows": len(left), "parts": dict(parts.most_common()),
            "texts_that_part": texts, "shared_beginning": shared_text / texts if texts else None,
            "same_length": len(left) == len(right),
            "there": [sum(1 for one in side if one is not None) for side in (left, right)]}


def median(runs, name):
    values = [numbers[name] for numbers in runs if numbers.get(name) is not None]
    return statistics.median(values) if values else float("nan")


def print_run(pipeline, side, numbers):
    words = [f"{numbers['wall_s']:.1f} s", f"calls {numbers['calls']}",
             f"prompt tokens {numbers['prompt_tokens']:,} ({numbers['cached_tokens']:,} not computed)",
             f"output tokens {numbers['output_tokens']:,}", f"failed rows {numbers['failed_rows']}",
             f"peak {numbers['peak_mb']:.0f} MB", f"others' cores {numbers['others_cores']:.2f}"]
    print(f"  {pipeline} · {side}: {', '.join(words)}", flush=True)


def ratios(line, side, own="sluice"):
    """Their seconds over ours, of each round in which both ran."""
    pairs = zip(line["runs"].get(side, []), line["runs"].get(own, []))
    return [theirs["wall_s"] / mine["wall_s"] for theirs, mine in pairs]


def print_table(lines):
    print(f"\n{'pipeline':<10} {'side':<22} {'seconds':<24} {'times ours':<22} {'bar':<14} "
          f"{'calls':>6} {'prompt':>9} {'computed':>9} {'output':>8} {'failed':>6} {'MB':>6}")
    for line in lines:
        for side, runs in line["runs"].items():
            print_side(line, side, runs)
        print_facts(line)


def print_side(line, side, runs):
    bar = BARS[line["pipeline"]].get(side)
    times = ratios(line, side) if side != "sluice" else []
    said = f"{bar}: {verdict(statistics.median(times) >= bar)}" if bar and times else ""
    prompt, cached = median(runs, "prompt_tokens"), median(runs, "cached_tokens")
    print(f"{line['pipeline']:<10} {line['names'][side]:<22} "
          f"{spread([numbers['wall_s'] for numbers in runs], '{:.1f}'):<24} "
          f"{spread(times) if times else '':<22} {said:<14} {median(runs, 'calls'):>6.0f} "
          f"{prompt:>9,.0f} {prompt - cached:>9,.0f} {median(runs, 'output_tokens'):>8,.0f} "
          f"{median(runs, 'failed_rows'):>6.0f} {median(runs, 'peak_mb'):>6.0f}", flush=True)


def print_facts(line):
    facts = ", ".join(f"{name} {value}" for name, value in line["rows"].items())
    print(f"{'':<10} rows: {facts}")
    same = line.get("same_prompts")
    if same:
        print(f"{'':<10} same prompts: {same['equal']} of {same['requests']} requests of {same['rows']} "
              f"rows equal, their prompts have the same number of tokens on both sides")
    for pair, found in line["agreement"].items():
        parts = ", ".join(f"{name} {n}" for name, n in found["parts"].items())
        shared = found["shared_beginning"]
        print(f"{'':<10} equal results, {pair}: {found['equal']} of {found['rows']} "
              f"({found['there'][0]} and {found['there'][1]} are there)"
              + (f"; they part in {parts}" if parts else "")
              + (f"; texts that part share their first {100 * shared:.0f} %" if shared is not None else ""))
    peaks = {side: median(runs, "peak_mb") for side, runs in line["runs"].items()}
    if "sluice" in peaks and "async" in peaks:
        print(f"{'':<10} memory, ours / llama-server with its client: "
              f"{peaks['sluice'] / peaks['async']:.2f}")
    print_estimate(line)


def print_estimate(line):
    found, runs = line.get("estimate"), line["runs"].get("sluice")
    if not found or not runs:
        return
    if "seconds" not in found:
        print(f"{'':<10} estimate: none: {found.get('why', '')}")
        return
    actual = median(runs, "wall_s")

    def beside(words, seconds):
        within = abs(seconds / actual - 1) <= ESTIMATE_WITHIN
        return (f"{words} {seconds:.1f} s ({seconds / actual:.2f} of the actual {actual:.1f} s; within "
                f"{ESTIMATE_WITHIN:.0%}: {verdict(within)})")
    print(f"{'':<10} estimated " + beside(f"from {found['sample']} rows", found["seconds"]))
    if found.get("explain_s"):
        print(f"{'':<10} estimated " + beside("by explain", found["explain_s"]))
    planning = found.get("planning_s")
    if planning is not None:
        print(f"{'':<10} planning {1000 * planning:.1f} ms, {100 * planning / actual:.3f} % of the run; "
              f"under {PLANNING_SHARE:.0%}: {verdict(planning / actual < PLANNING_SHARE)}")


def print_planning(found):
    for shape in found.get("shapes", []):
        good = shape["median_ms"] < PLANNING_MS
        print(f"{'planning':<10} {shape['name']}: {shape['steps']} steps, {shape['median_ms']:.1f} ms "
              f"(highest {shape['highest_ms']:.1f}), {shape['notes']} notes; under {PLANNING_MS} ms: "
              f"{verdict(good)}")


def as_json(value):
    return json.dumps(value, indent=1, ensure_ascii=False)
