"""LangGraph with SqliteSaver in sync mode: a no-op node that goes round, checkpointed each time before the
next. One node that loops is its fastest form: the checkpoints of a long chain of nodes are larger."""

import concurrent.futures
import pathlib
import sqlite3
import sys
import time
import uuid
from typing import TypedDict

from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph

from peer_protocol import StepClock, serve

CLOCKS = {}  # thread id -> StepClock


class State(TypedDict):
    left: int


def nothing(state, config):
    CLOCKS[config["configurable"]["thread_id"]].step_ended()
    return {"left": state["left"] - 1}


def looping_graph(saver):
    graph = StateGraph(State)
    graph.add_node("nothing", nothing)
    graph.add_edge(START, "nothing")
    graph.add_conditional_edges("nothing", lambda state: "nothing" if state["left"] > 0 else END)
    return graph.compile(checkpointer=saver)


def main():
    folder = pathlib.Path(sys.argv[1])
    connection = sqlite3.connect(folder / "langgraph.sqlite", check_same_thread=False)
    graph = looping_graph(SqliteSaver(connection))

    def run_steps(steps, thread_id):
        CLOCKS[thread_id] = StepClock()
        config = {"configurable": {"thread_id": thread_id}, "recursion_limit": steps + 10}
        graph.invoke({"left": steps}, config, durability="sync")

    def measure(runs, steps):
        CLOCKS.clear()
        ids = [str(uuid.uuid4()) for _ in range(runs)]
        start = time.perf_counter()
        with concurrent.futures.ThreadPoolExecutor(runs) as pool:
            list(pool.map(lambda one: run_steps(steps, one), ids))
        # From one node's call to the next lies one checkpoint; the first holds the start of the run.
        return time.perf_counter() - start, CLOCKS[ids[0]].step_ms()[1:]

    serve(measure)


if __name__ == "__main__":
    main()
