"""The rows of the three pipelines: real texts of this machine, and the questions of a data set that the
user names. The same machine gives the same rows; another one gives others (the report names their hash).
"""

import codecs
import dataclasses
import email.utils
import gzip
import hashlib
import json
import os
import pathlib
import random
import re
import sqlite3

DOC = pathlib.Path("/usr/share/doc")
HEAD = re.compile(r"(\S+) \(([^)\s]+)\) [^;\n]*;[^\n]*\burgency=\w+", re.I)
ENTRIES_PER_LOG = 3        # the newest ones
ENTRY_CHARACTERS = 320     # of an entry's text
COPIES = 4                 # at most so many more packages of one source
EQUAL_SHARE = 0.25
DOCUMENT_CHARACTERS = 1400
DOCUMENT_READ = 20_000
SHORTEST_DOCUMENT = 1000
CONTROL = re.compile(r"<\|\w+\|>")  # would be control tokens to one side and data to the other


@dataclasses.dataclass
class Rows:
    """What a pipeline works on; `facts` says how the rows came about."""
    pipeline: str
    rows: list
    facts: dict

    def write(self, folder):
        """The rows as a file, and its hash among the facts."""
        path = pathlib.Path(folder) / f"{self.pipeline}.jsonl"
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in self.rows)
        path.write_text(text, encoding="utf-8")
        self.facts["sha256"] = hashlib.sha256(text.encode()).hexdigest()[:16]
        return path


def own_files(pattern):
    """Files of packages that are no links to those of another package."""
    return [path for path in sorted(DOC.glob(pattern))
            if path.is_file() and os.path.realpath(path) == str(path)]


def read_beginning(path, size):
    """The file's beginning, unpacked, or None where it is no UTF-8 text."""
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rb") as file:
            # Takes a character that the size cuts in two for unfinished, not for wrong.
            return codecs.getincrementaldecoder("utf-8")().decode(file.read(size))
    except (OSError, EOFError, UnicodeDecodeError):
        return None


# (a)

def entry_text(body):
    """The points of an entry on one line, without whom they are signed by."""
    lines = [line.strip() for line in body.splitlines()]
    said = " ".join(" ".join(line for line in lines if line and not line.startswith("[")).split())
    return said.removeprefix("* ")


def entries_of(path):
    """(source, version, day, text) of the newest entries of a change log."""
    text = read_beginning(path, 40_000) or ""
    for entry in re.split(r"\n(?=\S+ \()", text)[:ENTRIES_PER_LOG]:
        head = HEAD.match(entry)
        body, mark, end = entry.partition("\n -- ")
        if not head or not mark or "  " not in end:
            continue
        date = email.utils.parsedate_tz(end.split("\n")[0].split("  ")[1])
        said = entry_text(body.split("\n", 1)[1] if "\n" in body else "")
        if date and len(said) > 15 and not CONTROL.search(said):
            yield head[1], head[2], "%04d-%02d-%02d" % date[:3], said[:ENTRY_CHARACTERS]


def triage(count):
    """`count` entries, a quarter of them equal to an earlier one but for the package: several packages
    of one source carry its change log."""
    packages = {}
    for path in own_files("*/changelog.Debian.gz"):
        for entry in entries_of(path):
            packages.setdefault(entry, []).append(path.parent.name)
    random_ = random.Random("triage")
    order = sorted(packages)
    random_.shuffle(order)
    equal_wanted = round(count * EQUAL_SHARE)
    chosen = order[:count - equal_wanted]
    more = [(entry, package) for entry in chosen for package in packages[entry][1:1 + COPIES]]
    random_.shuffle(more)
    more = more[:equal_wanted]
    rest = order[len(chosen):len(chosen) + count - len(chosen) - len(more)]
    pairs = [(entry, packages[entry][0]) for entry in chosen + rest] + more
    random_.shuffle(pairs)
    if len(pairs) < count:
        raise SystemExit(f"the change logs of this machine hold {len(pairs)} entries, and {count} are "
                         "wanted: install more packages, or take --quick")
    rows = [{"package": package, "source": source, "version": version, "day": day, "text": text}
            for (source, version, day, text), package in pairs]
    return Rows("triage", rows, {"rows": len(rows), "distinct": len({entry for entry, _ in pairs}),
                                 "equal": len(pairs) - len({entry for entry, _ in pairs})})


# (b)

KINDS = ["*/README*", "*/NEWS*", "*/AUTHORS*", "*/changelog.gz", "*/changelog.Debian.gz",
         "*/copyright"]


def document_of(path):
    text = read_beginning(path, DOCUMENT_READ)
    if text is None or "\0" in text or CONTROL.search(text):
        return None
    # Blank lines and indents say nothing; a licence and a manual are told apart by their words.
    lines = [" ".join(line.split()) for line in text.splitlines()]
    text = "\n".join(line for line in lines if line)
    return text[:DOCUMENT_CHARACTERS].strip() if len(text) >= SHORTEST_DOCUMENT else None


def documents(count):
    """`count` texts of different kinds, no two of which begin alike, as even among kinds as there are
    files."""
    random_ = random.Random("documents")
    queues = []
    for pattern in KINDS:
        files = [path for path in own_files(pattern) if path.suffix in ("", ".gz", ".md", ".txt",
                                                                        ".Debian", ".rst")]
        random_.shuffle(files)
        queues.append((pattern, iter(files)))
    seen, rows, kinds = set(), [], {}
    while queues and len(rows) < count:
        for pattern, files in list(queues):
            text = next((text for text in map(document_of, files)
                         if text and text[:400] not in seen), None)
            if text is None:
                queues.remove((pattern, files))
            elif len(rows) < count:
                seen.add(text[:400])
                rows.append({"text": text})
                kinds[pattern[2:]] = kinds.get(pattern[2:], 0) + 1
    if len(rows) < count:
        raise SystemExit(f"this machine has {len(rows)} different documents, and {count} are wanted: "
                         "install more packages, or take --quick")
    random_.shuffle(rows)
    return Rows("documents", rows, {"rows": len(rows), "kinds": kinds})


# (c)

FIRST_WORDS = set("""After Among Answer Assuming Calculate Compute Considering Determine Factoring Given
How Identify If In Out Suppose Take Taking The Upon What Which With It""".split())
NAME = re.compile(r"[A-Z][\w-]*(?:(?: of| the)* [A-Z][\w-]*)*")
PASSAGE_QUESTIONS, PASSAGE_CHARACTERS = 3, 600
# What was measured with; other questions make another pipeline.
PARALLELQA = {"repository": "https://github.com/SqueezeAILab/LLMCompiler",
              "commit": "dca77b2197f89a20e505545a1458ae4a2ff04571",
              "path": "datasets/parallelqa_dataset.json",
              "sha256": "a0dbed4051e678eb3898c830343db93a503c0e94509e3924f58b2498d7021cd4"}


def names_in(question):
    for found in NAME.findall(question):
        words = found.split()
        while words and (words[0] in FIRST_WORDS or words[0].islower()):
            words = words[1:]
        if words and len(" ".join(words)) > 1:
            yield " ".join(words)


def passages(questions):
    """{name: notes}: what the data set itself says about a name that stands in at least two of its
    questions: the first of these questions with their published answers."""
    mentions = {}
    for question in questions:
        for name in dict.fromkeys(names_in(question["question"])):
            mentions.setdefault(name, []).append(question)
    return {name: " ".join(f"{one['question']} Answer: {one['answer']}."
                           for one in found[:PASSAGE_QUESTIONS])[:PASSAGE_CHARACTERS]
            for name, found in sorted(mentions.items()) if len(found) > 1}


def read_questions(path):
    """The questions of a file in the data set's format: a JSON list of objects with id, question, answer
    and branch (how many independent look-ups a question takes)."""
    try:
        questions = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SystemExit(f"--parallelqa {path}: {error}")
    if not isinstance(questions, list) or not all(
            isinstance(one, dict) and isinstance(one.get("question"), str) and "answer" in one
            for one in questions):
        raise SystemExit(f"--parallelqa {path}: it must be a JSON list of objects with question and "
                         "answer (datasets/parallelqa_dataset.json of LLMCompiler)")
    return questions


def whose_questions(path):
    """Words on whether this is the file that is named above."""
    found = hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()
    if found == PARALLELQA["sha256"]:
        return f"LLMCompiler's at {PARALLELQA['commit'][:8]}"
    return f"NOT LLMCompiler's at {PARALLELQA['commit'][:8]}: their sha256 is {found[:16]}"


def lookup(path, count, folder):
    """The first `count` questions (0: all), spread over the branches, and corpus.db in `folder`."""
    questions = read_questions(path)
    notes = passages(questions)
    random.Random("lookup").shuffle(questions)
    chosen = questions[:count] if count else questions
    corpus = pathlib.Path(folder) / "corpus.db"
    corpus.unlink(missing_ok=True)
    with sqlite3.connect(corpus) as database:
        database.execute("create table passage (name text primary key collate nocase, text text)")
        database.executemany("insert or ignore into passage values (?, ?)", notes.items())
    database.close()
    rows = [{"question": one["question"]} for one in chosen]
    return Rows("lookup", rows, {"rows": len(rows), "passages": len(notes),
                                 "questions": whose_questions(path),
                                 "branches": sum(one.get("branch", 0) for one in chosen)})
