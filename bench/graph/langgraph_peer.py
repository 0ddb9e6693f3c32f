"""The LangGraph side: graphs of no-op nodes in memory. Prints one JSON line per measurement."""
import json
import sys
import time
from typing import Annotated, TypedDict


def merge(left, right):
    return right


class State(TypedDict):
    value: Annotated[int, merge]


def build(shape, count):
    from langgraph.graph import END, START, StateGraph

    graph = StateGraph(State)
    for index in range(count):
        graph.add_node(f"n{index}", lambda state: {"value": 1})
    if shape == "chain":
        graph.add_edge(START, "n0")
        for index in range(1, count):
            graph.add_edge(f"n{index - 1}", f"n{index}")
        graph.add_edge(f"n{count - 1}", END)
    else:
        for index in range(count):
            graph.add_edge(START, f"n{index}")
            graph.add_edge(f"n{index}", END)
    return graph.compile()


def main():
    count = int(sys.argv[1])
    graphs = {shape: build(shape, count) for shape in ("chain", "wide")}
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        shape = line.strip()
        start = time.perf_counter()
        graphs[shape].invoke({"value": 0}, {"recursion_limit": count + 10})
        print(json.dumps({"seconds": time.perf_counter() - start}), flush=True)


if __name__ == "__main__":
    main()
