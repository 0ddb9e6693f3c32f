"""The tables: a row's measures, side by side, with bars, bounds and memory; the peer's settings."""

import statistics

import report
from figures import spread


def median_of(runs, measure):
    values = [numbers[measure] for numbers in runs if measure in numbers]
    return statistics.median(values) if values else float("nan")


def print_builds(about):
    dirty = " with changes" if about["dirty"] else ""
    print(f"\ncommit {about['commit'][:10]}{dirty}; {about['sluice']['version']} (binary "
          f"{about['sluice']['sha256'][:10]}); llama-server's {about['llama-server']['version']} "
          f"({about['llama-server']['build']}); {about['machine']}, {about['threads']} threads")


def print_table(lines):
    print(f"\n{'workload':<9} {'files':<5} {'measure':<15} {'side':<24} {'rounds':<6} "
          f"{'llama-server':<22} {'ours':<22} {'ratio':<20} bar")
    for line in lines:
        for measure, *bars in report.headline(line["row"]):
            print_headline(line, measure, bars[0 if line["format"] == "same" else 1])
        print_facts(line)


def print_headline(line, measure, bar):
    runs = line["runs"]
    theirs = [numbers[measure] for numbers in runs.get("peer", []) if measure in numbers]
    for kind, own_runs in runs.items():
        if kind == "peer":
            continue
        ours = [numbers[measure] for numbers in own_runs if measure in numbers]
        ratios = [report.ratio(measure, peer, own) for peer, own in zip(theirs, ours)]
        verdict = "" if bar is None or kind != "plain" or not ratios else \
            f"{bar}: {met(statistics.median(ratios) >= bar)}"
        rounds = f"{len(theirs)}" if len(theirs) == len(ours) else f"{len(theirs)}, {len(ours)}"
        print(f"{line['row']:<9} {line['format']:<5} {measure:<15} "
              f"{line['setups'][kind]['name']:<24} {rounds:<6} "
              f"{spread(theirs) if theirs else '-':<22} {spread(ours) if ours else '-':<22} "
              f"{spread(ratios) if ratios else '-':<20} {verdict}".rstrip(), flush=True)


def met(holds):
    return "met" if holds else "MISSED"


def print_facts(line):
    for kind, runs in line["runs"].items():
        words = [f"failed {max(numbers['failed'] for numbers in runs)} of {runs[0]['requests']}",
                 f"output tokens {median_of(runs, 'output tokens'):.0f}",
                 f"cached tokens {median_of(runs, 'cached tokens'):.0f}",
                 f"resident peak {median_of(runs, 'resident peak MB'):.0f} MB",
                 f"client {100 * median_of(runs, 'client cores'):.1f} % of a core",
                 f"others' cores at most {max(numbers[OTHERS] for numbers in runs):.2f}"]
        for measure, bar in report.OWN_BARS.get(line["row"], []):
            got, most = median_of(runs, measure), bar(runs[0])
            verdict = f": {met(got <= most)}" if kind == "plain" else ""
            words.append(f"{measure} {got:.4g} (at most {most:.4g}{verdict})")
        words += bound_words(line, kind, median_of(runs, "wall s"))
        print(f"{'':<9} {line['setups'][kind]['name']}: {', '.join(words)}")
    if "agreement" in line:
        same, compared, leading = line["agreement"]
        print(f"{'':<9} equal answers: {same} of {compared}; equal text before the first difference: "
              f"{100 * leading:.0f} %")
    peaks = {kind: median_of(runs, "resident peak MB") for kind, runs in line["runs"].items()}
    if "peer" in peaks and "plain" in peaks:
        ratio = peaks["plain"] / peaks["peer"]
        print(f"{'':<9} memory, ours / llama-server's: {ratio:.2f} (at most 1.15: {met(ratio <= 1.15)})")


OTHERS = "others' cores"


def bound_words(line, kind, wall):
    words = []
    for whose, seconds in line["bound"].items():
        share = seconds / wall
        aim = f", aim {report.AIM}: {met(share >= report.AIM)}" \
            if (kind, whose) == ("plain", "our") and line["row"] in report.AIMED else ""
        words.append(f"{share:.2f} of the bound by {whose} rates ({seconds:.1f} s{aim})")
    return words


def print_agreements(lines):
    for line in lines:
        print(f"agree     {line['format']:<5} {line['side']:<24} {line['equal']} of {line['asked']} "
              f"answers are equal; where they part, the token chosen led by {line['largest']:.2f} at "
              f"most, median {line['median']:.2f} (bar {line['bar']}: {met(line['met'])})")


def print_tuned(tuned):
    """As the documentation has it: the best setting of a row first."""
    print("\n| row | files | setting | runs | result | failed | server's CPU s | others' cores |\n"
          "|-|-|-|-|-|-|-|-|")
    for line in tuned:
        for number, entry in enumerate(line["settings"]):
            runs = entry["runs"]
            results = ", ".join(
                f"{measure} {spread([numbers[measure] for numbers in runs if measure in numbers])}"
                for measure, *_ in report.headline(line["row"])
                if any(measure in numbers for numbers in runs))
            name = f"**{entry['setting']}**" if number == 0 else entry["setting"]
            print(f"| {line['row']} | {line['format']} | {name} | {len(runs)} | {results} | "
                  f"{max(numbers['failed'] for numbers in runs)} | "
                  f"{median_of(runs, 'server cpu s'):.1f} | "
                  f"{max(numbers[OTHERS] for numbers in runs):.2f} |")
