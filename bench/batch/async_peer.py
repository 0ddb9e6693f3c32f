"""The pipelines as one writes them with an async client: what the text says, in its order."""

import asyncio

import questions
from asking import AskFailed


async def each(rows, work):
    """The result of every row, in their order; None and an entry in `failed` for a row that failed."""
    failed = []

    async def one(index, row):
        try:
            return await work(row)
        except AskFailed as error:
            failed.append((index, str(error)))
            return None
    return await asyncio.gather(*(one(index, row) for index, row in enumerate(rows))), failed


def report_of(row, security, program, summary, advice):
    if security == "yes" and program == "yes" and row["day"] >= questions.SINCE:
        return {"package": row["package"], "day": row["day"], "summary": summary, "advice": advice}
    return None


async def triage(asker, rows, _):
    async def one(row):
        security, program, summary, advice = await asyncio.gather(
            asker.ask("security", row), asker.ask("program", row), asker.ask("summary", row),
            asker.ask("advice", row))
        return report_of(row, security, program, summary, advice)
    return await each(rows, one)


def card_of(answers):
    return {"kind": answers["kind"]["kind"], "topic": answers["topic"]["topic"],
            "people": answers["people"]["names"], "reader": answers["reader"]}


async def documents(asker, rows, _):
    """Question by question: all documents are asked the first one, then all the second one."""
    jobs = [(name, index) for name in questions.PIPELINES["documents"] for index in range(len(rows))]
    answers = [{} for _ in rows]
    failed = {}

    async def one(name, index):
        try:
            answers[index][name] = await asker.ask(name, rows[index])
        except AskFailed as error:
            failed[index] = str(error)
    await asyncio.gather(*(one(name, index) for name, index in jobs))
    return ([None if index in failed else card_of(found) for index, found in enumerate(answers)],
            list(failed.items()))


async def lookup(asker, rows, corpus):
    async def one(row):
        names = (await asker.ask("names", row))["names"]
        facts = await asyncio.gather(*(
            asker.ask("fact", {"name": name, "notes": corpus.notes(name), **row}) for name in names))
        answer = await asker.ask("answer", {"facts": facts, **row})
        return {"names": names, "answer": answer["answer"]}
    return await each(rows, one)
