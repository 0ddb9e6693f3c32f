"""What a bench of hours has found so far, written after each run (--json), and what --resume takes from
there: runs of the same commit, program, model and settings, over the same rows."""

import hashlib
import json
import os
import pathlib
import platform
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
VERSIONS = ("import sys, importlib.metadata as m; "
            "print('Python', sys.version.split()[0], 'langgraph', m.version('langgraph'))")


def said(*command):
    """What a command prints, on one line; None where it cannot be asked."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except OSError:
        return None
    return " ".join((done.stdout or done.stderr).split()) if done.returncode == 0 else None


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()[:16]


def identity(options, model):
    """What must be the same for runs to stand beside each other."""
    return {"commit": said("git", "-C", str(ROOT), "rev-parse", "HEAD"),
            "sluice_sha256": sha256(options.sluice), "model": pathlib.Path(model).name,
            "model_sha256": sha256(model), "threads": options.threads,
            "in_flight": options.in_flight, "ours": "sluice batch" if options.batch else "sluice run",
            "ours_more": options.ours}


def about(options):
    """What else tells one bench from another."""
    changed = said("git", "-C", str(ROOT), "status", "--porcelain")
    return {"dirty": None if changed is None else bool(changed),
            "versions": {"sluice": said(options.sluice, "version"),
                         "llama-server": said(f"{options.llama}/bin/llama-server", "--version"),
                         "python": platform.python_version(),
                         "peers": said(options.python, "-c", VERSIONS),
                         "system": platform.platform()},
            "machine": platform.processor() or platform.machine(), "cores": os.cpu_count(),
            "rounds": options.rounds, "quick": options.quick}


class Kept:
    """The report so far; `say` is told why an earlier one is not gone on with."""

    def __init__(self, path, resume, identity_, about_, say):
        self.path = pathlib.Path(path) if path else None
        self.result = {"identity": identity_, **about_, "lines": [], "tuned": []}
        if not resume or not self.path.exists():
            return
        old = json.loads(self.path.read_text(encoding="utf-8"))
        if other := [name for name, value in identity_.items()
                     if old.get("identity", {}).get(name) != value]:
            aside = self.path.with_name(self.path.name + ".before")
            os.replace(self.path, aside)
            say(f"{path} is of another {', '.join(other)}: it is {aside.name} now, and all runs begin anew")
            return
        self.result["lines"], self.result["tuned"] = old["lines"], old["tuned"]

    def line(self, new):
        """The line of this pipeline with the runs that it has, `new` where its rows are others or there is
        none. From here on it is part of the report."""
        lines = self.result["lines"]
        at = next((at for at, line in enumerate(lines) if line["pipeline"] == new["pipeline"]), None)
        if at is None:
            lines.append(new)
            return new
        if any(lines[at][name] != new[name] for name in ("rows", "peer")):
            lines[at] = new
        lines[at]["names"].update(new["names"])
        return lines[at]

    def write(self):
        if not self.path:
            return
        part = self.path.with_name(self.path.name + ".part")
        part.write_text(json.dumps(self.result, indent=1, ensure_ascii=False), encoding="utf-8")
        os.replace(part, self.path)
