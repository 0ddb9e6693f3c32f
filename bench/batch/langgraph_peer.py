"""The pipelines as one writes them with LangGraph: a graph of nodes for a row, run over the rows as one
batch; a fan-out (Send) where there is a list."""

import operator
from typing import Annotated, Any, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.types import Send

import questions
from async_peer import card_of, report_of
from asking import AskFailed


class Entry(TypedDict, total=False):
    row: dict
    security: str
    program: str
    summary: str
    advice: dict
    report: Any


def triage_graph(asker):
    def node_of(name):
        async def node(state):
            return {name: await asker.ask(name, state["row"])}
        return node

    def report(state):
        return {"report": report_of(state["row"], state["security"], state["program"],
                                    state["summary"], state["advice"])}
    graph = StateGraph(Entry)
    graph.add_node("make_report", report)
    for name in questions.PIPELINES["triage"]:
        graph.add_node(f"ask_{name}", node_of(name))
        graph.add_edge(START, f"ask_{name}")
    graph.add_edge([f"ask_{name}" for name in questions.PIPELINES["triage"]], "make_report")
    graph.add_edge("make_report", END)
    return graph.compile()


async def over_rows(graph, inputs, asker, result_of):
    """The rows as one batch, as many at a time as the client has in flight."""
    ended = await graph.abatch(inputs, config={"max_concurrency": asker.in_flight},
                               return_exceptions=True)
    failed = []
    for index, state in enumerate(ended):
        if isinstance(state, AskFailed):
            failed.append((index, str(state)))
        elif isinstance(state, BaseException):
            raise state
    return [None if isinstance(state, BaseException) else result_of(state) for state in ended], failed


async def triage(asker, rows, _):
    return await over_rows(triage_graph(asker), [{"row": row} for row in rows], asker,
                           lambda state: state["report"])


class Cards(TypedDict, total=False):
    rows: list
    answers: Annotated[list, operator.add]


async def documents(asker, rows, _):
    async def ask(one):
        try:
            return {"answers": [(one["index"], one["name"],
                                 await asker.ask(one["name"], one["row"]), "")]}
        except AskFailed as error:
            return {"answers": [(one["index"], one["name"], None, str(error))]}

    def fan_out(state):
        return [Send("ask", {"index": index, "name": name, "row": row})
                for name in questions.PIPELINES["documents"]
                for index, row in enumerate(state["rows"])]
    graph = StateGraph(Cards)
    graph.add_node("ask", ask)
    graph.add_conditional_edges(START, fan_out, ["ask"])
    graph.add_edge("ask", END)
    ended = await graph.compile().ainvoke({"rows": rows, "answers": []},
                                          {"max_concurrency": asker.in_flight})
    found, failed = [{} for _ in rows], {}
    for index, name, answer, error in ended["answers"]:
        found[index][name] = answer
        if error:
            failed[index] = error
    return ([None if index in failed else card_of(answers) for index, answers in enumerate(found)],
            list(failed.items()))


class Lookup(TypedDict, total=False):
    question: str
    things: list
    facts: Annotated[list, operator.add]
    answered: str


async def lookup(asker, rows, corpus):
    async def ask_names(state):
        return {"things": (await asker.ask("names", state))["names"]}

    def fan_out(state):
        return [Send("ask_fact", {"at": at, "name": name, "question": state["question"]})
                for at, name in enumerate(state["things"])]

    async def ask_fact(one):
        fact = await asker.ask("fact", {**one, "notes": corpus.notes(one["name"])})
        return {"facts": [(one["at"], fact)]}

    async def ask_answer(state):
        facts = [fact for _, fact in sorted(state["facts"])]
        answer = await asker.ask("answer", {"question": state["question"], "facts": facts})
        return {"answered": answer["answer"]}
    graph = StateGraph(Lookup)
    for node in (ask_names, ask_fact, ask_answer):
        graph.add_node(node.__name__, node)
    graph.add_edge(START, "ask_names")
    graph.add_conditional_edges("ask_names", fan_out, ["ask_fact"])
    graph.add_edge("ask_fact", "ask_answer")
    graph.add_edge("ask_answer", END)
    return await over_rows(graph.compile(), [{**row, "facts": []} for row in rows], asker,
                           lambda state: {"names": state["things"], "answer": state["answered"]})
