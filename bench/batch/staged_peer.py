"""The expert's programs stage by stage: one question about all rows, then the next one, for those that
are left. Beside expert_peer.py to see which form is faster on a server; documents have no such form, since
one question about all documents is what the async client does."""

import asyncio

import questions
from async_peer import report_of
from asking import AskFailed
from expert_peer import key_of


class Stage:
    """Asks one question about many things; what failed is out of all later stages."""

    def __init__(self, asker):
        self.asker = asker
        self.failed = {}

    async def ask(self, name, inputs):
        """{key: answer} of {key: inputs}, in this order."""
        answers = {}

        async def one(key, wanted):
            try:
                answers[key] = await self.asker.ask(name, wanted)
            except AskFailed as error:
                self.failed[key] = str(error)
        await asyncio.gather(*(one(key, wanted) for key, wanted in inputs.items()))
        return answers


async def triage(asker, rows, _):
    stage = Stage(asker)
    young = {key_of(row): row for row in rows if row["day"] >= questions.SINCE}
    first = await stage.ask("security", young)
    secure = {key: young[key] for key in young if first.get(key) == "yes"}
    second = await stage.ask("program", secure)
    kept = {key: row for key, row in secure.items() if second.get(key) == "yes"}
    # One question after the other: the beginning that its prompts share stays in every slot.
    summaries = await stage.ask("summary", kept)
    advices = await stage.ask("advice", kept)
    results, failed = [], []
    for index, row in enumerate(rows):
        key = key_of(row)
        young_too = row["day"] >= questions.SINCE
        if young_too and key in summaries and key in advices:
            results.append(report_of(row, "yes", "yes", summaries[key], advices[key]))
        else:
            results.append(None)
        if young_too and key in stage.failed:
            failed.append((index, stage.failed[key]))
    return results, failed


async def lookup(asker, rows, corpus):
    """Questions about one thing follow each other, behind the same notes."""
    stage = Stage(asker)
    asked = {row["question"]: row for row in rows}
    names = {key: found["names"] for key, found in (await stage.ask("names", asked)).items()}
    wanted = sorted({(name, key) for key, found in names.items() for name in found})
    notes = {name: corpus.notes(name) for name, _ in wanted}
    facts = await stage.ask("fact", {
        (name, key): {"name": name, "notes": notes[name], "question": key} for name, key in wanted})
    ready = {key: [facts[(name, key)] for name in found] for key, found in names.items()
             if all((name, key) in facts for name in found)}
    answers = await stage.ask("answer", {key: {"facts": found, "question": key}
                                         for key, found in ready.items()})
    results = [{"names": names[row["question"]], "answer": answers[row["question"]]["answer"]}
               if row["question"] in answers else None for row in rows]
    return results, [(index, "a question of it failed") for index, result in enumerate(results)
                     if result is None]
