"""What a side was answered, question by question: to compare answers to the same words, and not only the
rows' results, in which a sentence of a condition is not seen."""

import collections
import dataclasses
import hashlib
import json
import subprocess

import questions

WORD = (1 << 64) - 1
FRAME_SEED = 0x6672616D65732121
MOST_STEPS = 64  # of a batch's own plan: one of them has the rows


@dataclasses.dataclass(frozen=True)
class Asked:
    """One question with its words, and what our side was answered, as text."""
    question: str
    inputs: dict
    text: str


def key_of(name, inputs):
    words = json.dumps([name, questions.QUESTIONS[name].messages(inputs)], ensure_ascii=False)
    return hashlib.sha256(words.encode()).hexdigest()[:16]


def of_asked(asked):
    """{key: text} of a peer's (question, inputs, text): the first answer to the same words."""
    texts = {}
    for name, inputs, text in asked:
        texts.setdefault(key_of(name, inputs), text)
    return texts


# Our side: the run's journal has the answers, its trace the names of their steps.

def mixed(bits):
    bits ^= bits >> 30
    bits = bits * 0xBF58476D1CE4E5B9 & WORD
    bits ^= bits >> 27
    bits = bits * 0x94D049BB133111EB & WORD
    return bits ^ bits >> 31


def frame_of(step, item):
    """The name of the frame in which an item of a step of the root runs (src/runtime/task_ref.cpp; it
    never changes, since journals hold it)."""
    bits = mixed(FRAME_SEED)
    for part in (0, step << 32 | item, 1, 1 << 16):
        bits = mixed(bits + 0x9E3779B97F4A7C15 + part & WORD)
    return f"{bits or 1:016x}"


def rows_of_frames(frames, rows):
    """{frame: row}; empty where no step of the root makes these frames."""
    for step in range(MOST_STEPS):
        found = {frame_of(step, row): row for row in range(rows)}
        if frames and frames <= set(found):
            return found
    return {}


def exported(sluice, journal, run, environment):
    done = subprocess.run([sluice, "runs", "export", run, "--journal", str(journal)],
                          capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        raise ValueError((done.stderr or done.stdout).strip()[-300:])
    records = map(json.loads, done.stdout.splitlines())
    return [record for record in records if record.get("type") == "call_ended"]


def by_frame(calls, frame_name):
    out = collections.defaultdict(list)
    for call in calls:
        out[frame_name(call)].append(call)
    return out


def of_run(trace, records, rows, steps):
    """[(question, row, item, answer)] of a run's events and its journal's records, which tell of the
    calls of a frame in the same order; ValueError where they do not."""
    told = by_frame((line for line in trace if line.get("event") == "call_ended" and "frame" in line),
                    lambda line: line["frame"])
    kept = by_frame(records, lambda record: record["call"]["frame"])
    numbers = rows_of_frames({frame for frame, lines in told.items()
                              if any(line.get("step") in steps for line in lines)}, rows)
    out = []
    for frame, row in numbers.items():
        if len(told[frame]) != len(kept[frame]):
            raise ValueError(f"row {row}: the trace tells of {len(told[frame])} calls, the journal of "
                             f"{len(kept[frame])}")
        for line, record in zip(told[frame], kept[frame]):
            if line.get("step") in steps and "output" in record:
                out.append((line["step"], row, line.get("item", 0), record["output"]))
    return sorted(out, key=lambda one: (one[1], steps.index(one[0]), one[2]))


def text_of(question, answer):
    """An answer as our engine wrote it: JSON has one blank behind a colon and a comma, and no other."""
    return answer if question.schema is None else json.dumps(answer, ensure_ascii=False)


def with_words(answers, rows, corpus=None):
    """{key: Asked} of what of_run() gives: each question with the words that it went out with."""
    out = {}
    names, facts = {}, collections.defaultdict(dict)
    for name, row, item, answer in answers:
        inputs = rows[row]
        if name == "names":
            names[row] = answer["names"]
        elif name == "fact":
            thing = names[row][item]
            inputs = {"name": thing, "notes": corpus.notes(thing), **inputs}
            facts[row][item] = answer
        elif name == "answer":
            inputs = {"facts": [fact for _, fact in sorted(facts[row].items())], **inputs}
        asked = Asked(name, inputs, text_of(questions.QUESTIONS[name], answer))
        out.setdefault(key_of(name, inputs), asked)
    return out


def choices(asked):
    """{question: {answer: how often}} of (question, text), for the questions with a yes or a no."""
    out = collections.defaultdict(collections.Counter)
    for name, text in asked:
        schema = questions.QUESTIONS[name].schema
        if schema and "enum" in schema:
            out[name][json.loads(text)] += 1
    return {name: dict(found.most_common()) for name, found in out.items()}
