"""The pipelines as an expert writes them who knows the server and the data: the exact filter first, equal
rows once, a condition before what counts only where it holds, and requests in an order in which what
their prompts have in common is still in the server. No stage waits for all rows of the one before it
(staged_peer.py is the form with such stages)."""

import asyncio

import questions
from async_peer import card_of, report_of
from asking import AskFailed


def key_of(row):
    return row["source"], row["version"], row["text"]


async def by_workers(asker, things, work):
    """({key: result}, {key: error}): as many workers as requests in flight, each with one thing from its
    first question to its last, while what its prompts share is in a slot."""
    results, failed = {}, {}
    left = iter(things.items())

    async def worker():
        for key, thing in left:
            try:
                results[key] = await work(thing)
            except AskFailed as error:
                failed[key] = str(error)
    await asyncio.gather(*(worker() for _ in range(asker.in_flight)))
    return results, failed


async def triage(asker, rows, _):
    async def one(row):
        for condition in ("security", "program"):
            if await asker.ask(condition, row) != "yes":
                return None
        return {"summary": await asker.ask("summary", row), "advice": await asker.ask("advice", row)}
    young = {key_of(row): row for row in rows if row["day"] >= questions.SINCE}
    found, failed = await by_workers(asker, young, one)

    def result_of(row):
        kept = found.get(key_of(row)) if row["day"] >= questions.SINCE else None
        return report_of(row, "yes", "yes", **kept) if kept else None
    return ([result_of(row) for row in rows],
            [(index, failed[key_of(row)]) for index, row in enumerate(rows)
             if row["day"] >= questions.SINCE and key_of(row) in failed])


async def documents(asker, rows, _):
    async def one(row):
        return card_of({name: await asker.ask(name, row) for name in questions.PIPELINES["documents"]})
    results, failed = await by_workers(asker, dict(enumerate(rows)), one)
    return [results.get(index) for index in range(len(rows))], list(failed.items())


async def lookup(asker, rows, corpus):
    """All rows at once: a row's answer does not wait for other rows, and of the facts that wait those of
    one thing follow each other, behind the same notes."""
    async def one(row):
        names = (await asker.ask("names", row, "names"))["names"]
        wanted = sorted(set(names))
        facts = dict(zip(wanted, await asyncio.gather(*(
            asker.ask("fact", {"name": name, "notes": corpus.notes(name), **row}, ("fact", name))
            for name in wanted))))
        answer = await asker.ask("answer", {"facts": [facts[name] for name in names], **row})
        return {"names": names, "answer": answer["answer"]}
    asked = {row["question"]: row for row in rows}
    ended = dict(zip(asked, await asyncio.gather(*map(one, asked.values()), return_exceptions=True)))
    for found in ended.values():
        if isinstance(found, BaseException) and not isinstance(found, AskFailed):
            raise found
    results = [ended[row["question"]] for row in rows]
    return ([None if isinstance(result, AskFailed) else result for result in results],
            [(index, str(result)) for index, result in enumerate(results)
             if isinstance(result, AskFailed)])
