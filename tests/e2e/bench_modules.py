"""Modules of a bench for a test of this folder."""

import contextlib
import importlib
import sys
import types

from conftest import ROOT


@contextlib.contextmanager
def bench_modules(folder, names):
    """The named modules of bench/<folder>; names as common as theirs are another bench's too, so they
    go again."""
    before, folders = set(sys.modules), [str(ROOT / "bench" / folder), str(ROOT / "bench/llama_peer")]
    sys.path[:0] = folders
    try:
        yield types.SimpleNamespace(**{name: importlib.import_module(name) for name in names})
    finally:
        for added in folders:
            sys.path.remove(added)
        for name in set(sys.modules) - before:
            if str(getattr(sys.modules[name], "__file__", "")).startswith(str(ROOT / "bench")):
                del sys.modules[name]
