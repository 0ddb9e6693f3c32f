#!/usr/bin/env python3
"""Writes a requirements file with every version and hash pinned.

    lock_python.py OUTPUT NAME [NAME ...]      e.g. lock_python.py tests/e2e/requirements.txt pytest

Resolves with pip for this machine, then takes the hashes of all wheels of those versions from the
index, so that the file also serves another processor or Python. Run by hand when a pin moves.
"""

import json
import re
import subprocess
import sys
import urllib.parse

sys.dont_write_bytecode = True
import downloads

RESOLVE_TIMEOUT_S = 300


def resolve(names):
    """[(name, version)] of everything that the names need."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed",
         "--only-binary", ":all:", "--report", "-", *names],
        stdout=subprocess.PIPE, text=True, check=True, timeout=RESOLVE_TIMEOUT_S)
    items = json.loads(done.stdout)["install"]
    return sorted((re.sub(r"[-_.]+", "-", item["metadata"]["name"]).lower(),
                   item["metadata"]["version"]) for item in items)


def wheel_hashes(name, version):
    """SHA-256 of every wheel of that version; the index writes them as URL fragments."""
    page_url = f"{downloads.index_url()}/{name}/"
    with downloads.open_url(page_url, "text/html") as response:
        parser = downloads.LinkParser()
        parser.feed(response.read().decode("utf-8"))
    hashes = set()
    for link in parser.links:
        parts = urllib.parse.urlsplit(link)
        filename = urllib.parse.unquote(parts.path.rsplit("/", 1)[-1])
        if not filename.endswith(".whl") or filename.split("-")[1] != version:
            continue
        if parts.fragment.startswith("sha256="):
            hashes.add(parts.fragment.removeprefix("sha256="))
    if not hashes:
        raise downloads.SetupError(f"the index shows no wheel of {name} {version}")
    return sorted(hashes)


def main():
    output, names = sys.argv[1], sys.argv[2:]
    lines = [f"# Written by scripts/lock_python.py for: {' '.join(names)}"]
    for name, version in resolve(names):
        hashes = wheel_hashes(name, version)
        lines.append(" \\\n    ".join([f"{name}=={version}"] + [f"--hash=sha256:{h}" for h in hashes]))
    with open(output, "w") as file:
        file.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main()
