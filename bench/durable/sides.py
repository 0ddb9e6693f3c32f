"""The sides of bench/durable as processes that speak peer_protocol: Sluice's own program and the peers."""

import json
import os
import pathlib
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
REPLY_S = 300


class Side:
    def __init__(self, name, command, folder, environment=None):
        self.name = name
        folder.mkdir(parents=True)
        self.log = open(folder / "stderr.log", "w+")
        self.process = subprocess.Popen([*command, str(folder)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=self.log, text=True,
                                        env=dict(os.environ, **(environment or {})))
        self.read()

    def read(self):
        for line in self.process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        self.log.seek(0)
        raise SystemExit(f"{self.name} ended early:\n{self.log.read()[-3000:]}")

    def measure(self, runs, steps):
        self.process.stdin.write(json.dumps({"runs": runs, "steps": steps}) + "\n")
        self.process.stdin.flush()
        return self.read()

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.log.close()


def restate_server(node_modules):
    found = list(pathlib.Path(node_modules).glob("@restatedev/restate-server-*/bin/restate-server"))
    if not found:
        raise SystemExit("no Restate server for this machine: `python3 scripts/third_party.py ensure restate`")
    return str(found[0])


def open_peers(python, node_modules, folder):
    restate = {"SLUICE_BENCH_RESTATE": restate_server(node_modules)}
    return {"DBOS": Side("DBOS", [python, str(HERE / "dbos_peer.py")], folder / "dbos"),
            "LangGraph": Side("LangGraph", [python, str(HERE / "langgraph_peer.py")],
                              folder / "langgraph"),
            "Restate": Side("Restate", [python, str(HERE / "restate_peer.py")], folder / "restate",
                            restate)}
