"""What our side says a pipeline will take before it is run: from a sample of its first rows, from
`explain`, which then knows what the sample's calls took, and from `explain` before any of it was run."""

import json
import subprocess

import ours

SAMPLE = 20


def of_rows(options, work):
    """{"seconds", "low", "high", "planning_s", ...}, or {"why"} where this program gives none."""
    if not options.batch:
        return {"why": "this program has no `batch`"}
    sample = min(SAMPLE, max(1, len(work.rows.rows) // 2))
    command = ours.batch_command(work.sluice, work.pipeline, work.file, work.folder, work.model,
                                 ("--workers", str(options.threads), "--sample", str(sample),
                                  "--estimate"))
    ended = ours.Ended(command, work.environment)
    told = ended.of("estimate")
    if ended.code != 0 or not told:
        return {"why": ended.errors.strip()[-300:] or f"it ended with {ended.code}"}
    seconds, tokens = told[-1]["all"]["seconds"], told[-1]["all"]["tokens"]
    return {"sample": sample, "sample_took_s": ended.seconds, "seconds": seconds["middle"],
            "low": seconds["low"], "high": seconds["high"], "tokens": tokens["middle"],
            **explained(work)}


def explained(work):
    """{"explain_s", "planning_s"}: what `explain` expects of the plan over the same rows."""
    plan = ours.wrapper(work.pipeline, work.columns, work.folder)
    done = subprocess.run([work.sluice, "explain", str(plan), "--input", str(work.file),
                           "--model", work.model, "--format", "json"],
                          capture_output=True, text=True, env=work.environment)
    if done.returncode != 0:
        return {"explain_why": (done.stderr or done.stdout).strip()[-300:]}
    found = json.loads(done.stdout)
    return {"explain_s": found.get("expected", {}).get("seconds", {}).get("middle"),
            "planning_s": found.get("planning_seconds")}
