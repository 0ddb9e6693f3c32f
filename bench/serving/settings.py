"""How each side is started for each workload. llama-server runs with the settings that were best for it
among those tried (`serving.py --tune ROW` tries them again); ours with its defaults."""

from peer_settings import HOST_MB, IDLE, POOL_TOKENS, Peer, peer_from
from workloads import RUNNING, Size

# Tried per row; the first one runs (docs/benchmarks/serving.md has what they gave).
PEERS = {
    "docs": [Peer(8), Peer(16), Peer(4), Peer(12), Peer(24), Peer(16, unified=True),
             Peer(8, unified=True), Peer(4, unified=True), Peer(8, flash="off"), Peer(8, flash="on"),
             Peer(8, batch=512), Peer(8, micro=256), Peer(8, micro=1024), Peer(8, micro=2048),
             Peer(24, more=IDLE), Peer(8, cache_mb=0), Peer(8, cache_mb=8192)],
    "agents": [Peer(4), Peer(3), Peer(2), Peer(4, unified=True), Peer(6, unified=True),
               Peer(8, unified=True), Peer(4, flash="off"), Peer(4, batch=512), Peer(4, micro=256),
               Peer(4, micro=1024), Peer(4, cache_mb=0), Peer(4, cache_mb=8192), Peer(4, more=IDLE)],
    "agents-16": [Peer(8), Peer(6), Peer(4), Peer(8, unified=True), Peer(12, unified=True),
                  Peer(16, unified=True), Peer(8, flash="off"), Peer(8, batch=512),
                  Peer(8, micro=1024), Peer(8, cache_mb=8192), Peer(8, more=IDLE)],
    "mixed": [Peer(8), Peer(4), Peer(4, unified=True), Peer(8, unified=True), Peer(8, batch=512),
              Peer(8, batch=256, micro=256), Peer(8, batch=128, micro=128), Peer(8, micro=1024),
              Peer(8, flash="off")],
    "objects": [Peer(8), Peer(16), Peer(4), Peer(12), Peer(8, unified=True), Peer(16, unified=True),
                Peer(8, flash="off"), Peer(8, batch=512), Peer(8, micro=256)],
    "fair": [Peer(16), Peer(8), Peer(32), Peer(16, unified=True), Peer(8, unified=True),
             Peer(16, flash="off"), Peer(16, batch=512), Peer(16, micro=256)],
    "trace": [Peer(8), Peer(4), Peer(16), Peer(4, unified=True), Peer(8, unified=True),
              Peer(16, unified=True), Peer(8, flash="off"), Peer(8, batch=512),
              Peer(8, batch=256, micro=256)],
}
# Where another setting is best with one of the files: {(row, format): Peer}.
BEST_WITH = {}

# The full sizes, and small ones to develop with.
SIZES = {
    "docs": Size(documents=24, questions=6, in_flight=16, prompt_tokens=1100, max_tokens=32),
    "agents": Size(sessions=8, turns=5, prompt_tokens=3000, max_tokens=48, pool_tokens=12288),
    "agents-16": Size(sessions=16, turns=5, prompt_tokens=3000, max_tokens=48, pool_tokens=24576),
    "mixed": Size(long_requests=3, prompt_tokens=2800, max_tokens=64),
    "objects": Size(count=48, in_flight=RUNNING, max_tokens=200),
    "fair": Size(in_flight=4, count=24, prompt_tokens=200, max_tokens=24),
    "trace": Size(),
}
QUICK = {
    "docs": Size(documents=12, questions=3, in_flight=8, prompt_tokens=600, max_tokens=24,
                 pool_tokens=16384),
    "agents": Size(sessions=6, turns=4, prompt_tokens=1300, max_tokens=24, pool_tokens=6144),
    "agents-16": Size(sessions=12, turns=3, prompt_tokens=1000, max_tokens=24, pool_tokens=9216),
    "mixed": Size(long_requests=1, prompt_tokens=2800, max_tokens=32),
    "objects": Size(count=24, in_flight=RUNNING, max_tokens=200),
    "fair": Size(in_flight=2, count=8, prompt_tokens=100, max_tokens=16, overload=(20, 30)),
    "trace": Size(),
}


def best_peer(row, format_):
    return BEST_WITH.get((row, format_), PEERS[row][0])


# The rules as they were published, beside which our defaults claim to be better (docs/architecture/policy.md).
PUBLISHED = "order=arrival,batch=fixed,admission=worst_case,lifetime=recent,fairness=none"
POLICIES = ("order", "batch", "admission", "lifetime", "fairness")
OUR_KINDS = {"plain": "sluice", "hints": "sluice, hints", "published": "sluice, published",
             "ggml": "sluice, ggml attention"}


def is_kind(word):
    """Of our side: plain, hints, published, ggml, a policy such as order=arrival, or pause=200 (ms)."""
    return word in OUR_KINDS or word.partition("=")[0] in (*POLICIES, "pause")


def name_of(kind):
    return OUR_KINDS.get(kind, f"sluice, {kind}")


def applies(kind, row, format_):
    """Does this side belong to this line? What was asked for by its policy always does."""
    if kind == "hints":
        return row.startswith("agents")
    if kind == "ggml":  # minutes a run; only where attention is most of the work
        return row in ("docs", "agents") and format_ != "same"
    return kind != "published" or row != "trace"


def ours(kind, pool_tokens, threads):
    """Arguments of `sluice serve`: its defaults, but for the sizes that both sides share and what the
    kind asks for."""
    name, _, value = kind.partition("=")
    more = ()
    if kind == "published":
        more = ("--policy", PUBLISHED)
    elif name in POLICIES:
        more = ("--policy", kind)
    elif name == "pause":
        more = ("--between-tokens-ms", value)
    return ("--pool-tokens", str(pool_tokens), "--context", str(min(8192, pool_tokens)),
            "--host-cache", str(HOST_MB), "--workers", str(threads), *more)
