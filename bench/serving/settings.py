"""How each side is started for each workload. llama-server runs with the settings that were best for it
among those tried (`serving.py --tune WORKLOAD` tries them again); ours with its defaults."""

import dataclasses
import re

from workloads import Size

HOST_MB = 1024      # the same budget of host memory for KV on both sides
POOL_TOKENS = 32768  # and the same number of KV cells, where the workload sets no other


@dataclasses.dataclass(frozen=True)
class Peer:
    """Settings of llama-server; everything not named is its default."""
    slots: int
    unified: bool = False
    batch: int = 2048
    micro: int = 512
    flash: str = "auto"
    cache_mb: int = HOST_MB
    more: tuple = ()

    def arguments(self, pool_tokens, threads):
        return ("-np", str(self.slots), "-kvu" if self.unified else "-no-kvu",
                "-c", str(pool_tokens), "-b", str(self.batch), "-ub", str(self.micro),
                "-fa", self.flash, "--cache-ram", str(self.cache_mb), "-t", str(threads), *self.more)

    @property
    def name(self):
        parts = [f"-np {self.slots}"] + ["-kvu"] * self.unified
        parts += [f"-b {self.batch}"] * (self.batch != 2048)
        parts += [f"-ub {self.micro}"] * (self.micro != 512)
        parts += [f"-fa {self.flash}"] * (self.flash != "auto")
        parts += [f"--cache-ram {self.cache_mb}"] * (self.cache_mb != HOST_MB)
        return " ".join([*parts, *self.more])


IDLE = ("--no-cache-idle-slots",)

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



def peer_from(word):
    """A setting in short, for --try: slots, then u (unified), b512, m1024, f (no flash attention),
    c0 (MB of host memory) and i (idle slots stay where they are), as in 8u or 16b512."""
    slots, rest = re.match(r"(\d+)(.*)", word).groups()
    parts = dict(re.findall(r"([ubmfci])(\d*)", rest))
    return Peer(int(slots), "u" in parts, int(parts.get("b", 2048)), int(parts.get("m", 512)),
                "off" if "f" in parts else "auto", int(parts.get("c", HOST_MB)),
                IDLE if "i" in parts else ())


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
