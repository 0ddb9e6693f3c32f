"""What is read off the runs of a pipeline, and the tables."""

import collections
import statistics

import ties
from figures import common_start, spread

# Their seconds over ours, at least. What an expert is to be beaten by is asked of the best peer of each
# round, whichever it is: a simple program may be the fastest.
BARS = {"triage": {"async": 3.0, "langgraph": 3.0}, "documents": {"async": 2.0, "langgraph": 2.0},
        "lookup": {}}
BEST_BAR = 1.15
PEERS = ("async", "langgraph", "expert", "staged")
EXPERTS = ("expert", "staged")
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


def best_peers(line, own="sluice"):
    """[(side, its seconds, ours)]: the fastest peer of each round of ours. A peer with fewer rounds counts
    with its median in those that it has not."""
    peers = [side for side in PEERS if line["runs"].get(side)]

    def seconds(side, number):
        runs = line["runs"][side]
        return runs[number]["wall_s"] if number < len(runs) else median(runs, "wall_s")
    out = []
    for number, mine in enumerate(line["runs"].get(own, []) if peers else []):
        side = min(peers, key=lambda peer: seconds(peer, number))
        out.append((side, seconds(side, number), mine["wall_s"]))
    return out


def judged(times, bar):
    return f"{bar}: {verdict(statistics.median(times) >= bar)}" if bar and times else ""


def print_table(lines):
    print(f"\n{'pipeline':<10} {'side':<24} {'seconds':<24} {'times ours':<22} {'bar':<14} "
          f"{'calls':>6} {'prompt':>9} {'computed':>9} {'output':>8} {'failed':>6} {'MB':>6}")
    for line in lines:
        for side, runs in line["runs"].items():
            if runs:
                print_side(line, side, runs)
        print_best(line)
        print_facts(line)


def print_side(line, side, runs):
    times = ratios(line, side) if side != "sluice" else []
    prompt, cached = median(runs, "prompt_tokens"), median(runs, "cached_tokens")
    print(f"{line['pipeline']:<10} {line['names'][side]:<24} "
          f"{spread([numbers['wall_s'] for numbers in runs], '{:.1f}'):<24} "
          f"{spread(times) if times else '':<22} {judged(times, BARS[line['pipeline']].get(side)):<14} "
          f"{median(runs, 'calls'):>6.0f} "
          f"{prompt:>9,.0f} {prompt - cached:>9,.0f} {median(runs, 'output_tokens'):>8,.0f} "
          f"{median(runs, 'failed_rows'):>6.0f} {median(runs, 'peak_mb'):>6.0f}", flush=True)


def print_best(line):
    """The bar against whoever was fastest in a round; only where an expert ran."""
    best = best_peers(line)
    if not best or not any(line["runs"].get(side) for side in EXPERTS):
        return
    times = [theirs / mine for _, theirs, mine in best]
    print(f"{line['pipeline']:<10} {'best peer of each round':<24} "
          f"{spread([theirs for _, theirs, _ in best], '{:.1f}'):<24} {spread(times):<22} "
          f"{judged(times, BEST_BAR):<14} (" + ", ".join(line["names"][side] for side, _, _ in best)
          + ")")


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
    for pair, found in line.get("ties", {}).items():
        print(f"{'':<10} {pair}: {found.get('why') or ties.words_of(found)}")
    for side, found in line.get("choices", {}).items():
        if found:
            print(f"{'':<10} {line['names'][side]} was answered " + "; ".join(
                f"{question}: " + ", ".join(f"{answer} {n}" for answer, n in answers.items())
                for question, answers in found.items()))
    peaks = {side: median(runs, "peak_mb") for side, runs in line["runs"].items()
             if runs}
    if "sluice" in peaks and "async" in peaks:
        print(f"{'':<10} memory, ours / llama-server with its client: "
              f"{peaks['sluice'] / peaks['async']:.2f}")
    print_estimate(line)


def beside(words, seconds, actual):
    within = abs(seconds / actual - 1) <= ESTIMATE_WITHIN
    return (f"{words} {seconds:.1f} s ({seconds / actual:.2f} of the actual {actual:.1f} s; within "
            f"{ESTIMATE_WITHIN:.0%}: {verdict(within)})")


def print_estimate(line):
    found, runs = line.get("estimate"), line["runs"].get("sluice")
    if found and runs and "seconds" not in found:
        print(f"{'':<10} estimate: none: {found.get('why', '')}")
    elif found and runs:
        actual = median(runs, "wall_s")
        print(f"{'':<10} estimated "
              + beside(f"from {found['sample']} rows", found["seconds"], actual)
              + f"; these rows took {found['sample_took_s']:.1f} s, which no round counts")
        if found.get("explain_s"):
            print(f"{'':<10} estimated " + beside("by explain", found["explain_s"], actual))
        print_planning_share("planning, by explain,", found.get("planning_s"), actual)
        if said := [numbers["planning_ms"] for numbers in runs if "planning_ms" in numbers]:
            print_planning_share("planning, by the run,", statistics.median(said) / 1000, actual)
    print_first(line)


def print_planning_share(words, planning_s, actual):
    if planning_s is not None:
        print(f"{'':<10} {words} {1000 * planning_s:.1f} ms, {100 * planning_s / actual:.3f} % of the "
              f"run; under {PLANNING_SHARE:.0%}: {verdict(planning_s / actual < PLANNING_SHARE)}")


def print_first(line):
    """What a first `sluice batch` gives: the machine is calibrated, nothing is known of the plan."""
    runs = line["runs"].get("first")
    if not runs:
        return
    actual = median(runs, "wall_s")
    words = [f"with an empty history {actual:.1f} s"]
    if best := best_peers(line, "first"):
        side, theirs, mine = best[0]
        words.append(f"{line['names'][side]} took {theirs / mine:.2f} times as long")
    if (line.get("first_estimate") or {}).get("explain_s"):
        words.append(beside("explain said", line["first_estimate"]["explain_s"], actual))
    print(f"{'':<10} " + ", ".join(words))


def print_tuned(found):
    """llama-server with each setting; the fastest of each pipeline and side is marked."""
    print(f"\n{'pipeline':<10} {'llama-server':<28} {'side':<14} {'seconds':>8} {'computed':>9} "
          f"{'output':>8} {'failed':>6} {'MB':>6}")
    best = {}
    for one in found:
        key = one["pipeline"], one["side"]
        best[key] = min(best.get(key, one["wall_s"]), one["wall_s"])
    for one in sorted(found, key=lambda one: (one["pipeline"], one["side"], one["wall_s"])):
        mark = "fastest" * (one["wall_s"] == best[one["pipeline"], one["side"]])
        busy = f"others' cores {one['others_cores']:.2f}" if one.get("shared") else ""
        print(f"{one['pipeline']:<10} {one['setting']:<28} {one['side']:<14} {one['wall_s']:>8.1f} "
              f"{one['prompt_tokens'] - one['cached_tokens']:>9,} {one['output_tokens']:>8,} "
              f"{one['failed_rows']:>6} {one['peak_mb']:>6.0f} {mark} {busy}".rstrip())


def print_planning(found):
    for shape in found.get("shapes", []):
        good = shape["median_ms"] < PLANNING_MS
        print(f"{'planning':<10} {shape['name']}: {shape['steps']} steps, {shape['median_ms']:.1f} ms "
              f"(highest {shape['highest_ms']:.1f}), {shape['notes']} notes; under {PLANNING_MS} ms: "
              f"{verdict(good)}")
        if known := shape.get("with_history_median_ms"):
            print(f"{'':<10} with the statistics of an earlier run {known:.1f} ms; under {PLANNING_MS} ms: "
                  f"{verdict(known < PLANNING_MS)}")

