"""The pipelines as an expert writes them who knows the server and the data: the exact filter first, equal
rows once, the condition that rejects more first, dear questions only where they count, and requests in
an order in which what their prompts have in common is still in the server."""

import asyncio

import questions
from async_peer import card_of, report_of
from asking import AskFailed


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
    def key_of(row):
        return row["source"], row["version"], row["text"]
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
        if key in summaries and key in advices:
            results.append(report_of(row, "yes", "yes", summaries[key], advices[key]))
        else:
            results.append(None)
        if row["day"] >= questions.SINCE and key in stage.failed:
            failed.append((index, stage.failed[key]))
    return results, failed


async def documents(asker, rows, _):
    """Document by document: its four questions behind each other, while it is in a slot."""
    results, failed = [None] * len(rows), []
    left = iter(range(len(rows)))

    async def worker():
        for index in left:
            try:
                answers = {name: await asker.ask(name, rows[index])
                           for name in questions.PIPELINES["documents"]}
                results[index] = card_of(answers)
            except AskFailed as error:
                failed.append((index, str(error)))
    await asyncio.gather(*(worker() for _ in range(asker.in_flight)))
    return results, failed


async def lookup(asker, rows, corpus):
    """Stage by stage; questions about one thing follow each other, behind the same notes."""
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
