"""DBOS on SQLite: workflows of no-op steps. DBOS as it ships: a rollback journal with synchronous FULL."""

import pathlib
import sys
import time
import uuid

from dbos import DBOS

from peer_protocol import StepClock, serve

CLOCKS = {}  # workflow id -> StepClock


@DBOS.step()
def nothing(index):
    return index


@DBOS.workflow()
def run_steps(steps):
    clock = CLOCKS[DBOS.workflow_id] = StepClock()
    for index in range(steps):
        nothing(index)
        clock.step_ended()
    return steps


def measure(runs, steps):
    from dbos import SetWorkflowID

    CLOCKS.clear()
    ids = [str(uuid.uuid4()) for _ in range(runs)]
    start = time.perf_counter()
    handles = []
    for workflow_id in ids:
        with SetWorkflowID(workflow_id):
            handles.append(DBOS.start_workflow(run_steps, steps))
    assert all(handle.get_result() == steps for handle in handles)
    return time.perf_counter() - start, CLOCKS[ids[0]].step_ms()


def main():
    folder = pathlib.Path(sys.argv[1])
    DBOS(config={"name": "bench", "system_database_url": f"sqlite:///{folder}/dbos.sqlite",
                 "log_level": "ERROR", "run_admin_server": False})
    DBOS.launch()
    serve(measure)
    DBOS.destroy()


if __name__ == "__main__":
    main()
