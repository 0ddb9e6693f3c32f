"""How llama-server is started beside us, and the sizes that both sides share."""

import dataclasses
import re

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


def peer_from(word):
    """A setting in short, for --try: slots, then u (unified), b512, m1024, f (no flash attention),
    c0 (MB of host memory) and i (idle slots stay where they are), as in 8u or 16b512."""
    slots, rest = re.match(r"(\d+)(.*)", word).groups()
    parts = dict(re.findall(r"([ubmfci])(\d*)", rest))
    return Peer(int(slots), "u" in parts, int(parts.get("b", 2048)), int(parts.get("m", 512)),
                "off" if "f" in parts else "auto", int(parts.get("c", HOST_MB)),
                IDLE if "i" in parts else ())
