"""How each side is started for each workload. llama-server runs with the settings that were best for it
among those tried (`serving.py --tune WORKLOAD` tries them again); ours with its defaults."""

from peer_settings import HOST_MB, IDLE, POOL_TOKENS, Peer, peer_from
from workloads import Size

# Tried per workload; the first one is the best (see docs/benchmarks/serving.md for what all of them gave).
PEERS = {
    "docs": [Peer(8), Peer(16), Peer(4), Peer(24), Peer(16, unified=True), Peer(8, unified=True),
             Peer(4, unified=True), Peer(8, flash="off"), Peer(8, batch=512),
             Peer(8, micro=1024), Peer(24, more=IDLE), Peer(8, cache_mb=0), Peer(8, cache_mb=8192)],
    "agents": [Peer(4), Peer(3), Peer(2), Peer(4, unified=True), Peer(6, unified=True),
               Peer(8, unified=True), Peer(4, flash="off"), Peer(4, batch=512), Peer(4, cache_mb=0),
               Peer(4, more=IDLE)],
    "mixed": [Peer(8), Peer(4), Peer(4, unified=True), Peer(8, unified=True),
              Peer(8, batch=512), Peer(8, batch=256, micro=256), Peer(8, batch=128, micro=128),
              Peer(8, flash="off")],
    "objects": [Peer(8), Peer(16), Peer(4), Peer(12), Peer(8, unified=True), Peer(8, flash="off"),
                Peer(8, batch=512)],
    "fair": [Peer(16), Peer(8), Peer(16, unified=True)],
    "trace": [Peer(8), Peer(4), Peer(4, unified=True), Peer(8, unified=True), Peer(8, batch=512)],
}

# The full sizes, and small ones to develop with.
SIZES = {
    "docs": Size(documents=24, questions=6, in_flight=16, prompt_tokens=1100, max_tokens=32),
    "agents": Size(sessions=8, turns=5, prompt_tokens=3000, max_tokens=48, pool_tokens=12288),
    "mixed": Size(long_requests=3, prompt_tokens=2800, max_tokens=64),
    "objects": Size(count=48, in_flight=16, max_tokens=200),
    "fair": Size(in_flight=4, count=24, prompt_tokens=200, max_tokens=24),
    "trace": Size(),
}
QUICK = {
    "docs": Size(documents=12, questions=3, in_flight=8, prompt_tokens=600, max_tokens=24,
                 pool_tokens=16384),
    "agents": Size(sessions=6, turns=4, prompt_tokens=1300, max_tokens=24, pool_tokens=6144),
    "mixed": Size(long_requests=1, prompt_tokens=2800, max_tokens=32),
    "objects": Size(count=24, in_flight=16, max_tokens=200),
    "fair": Size(in_flight=2, count=8, prompt_tokens=100, max_tokens=16),
    "trace": Size(),
}


def ours(pool_tokens, threads):
    """Arguments of `sluice serve`: its defaults, but for the sizes that both sides share."""
    return ("--pool-tokens", str(pool_tokens), "--context", str(min(8192, pool_tokens)),
            "--host-cache", str(HOST_MB), "--workers", str(threads))
