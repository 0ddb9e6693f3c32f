"""The model file that both sides are given, and what a first use of our side measures and keeps."""

import os
import pathlib
import subprocess


def converted(model, llama, threads, name, say):
    """The model in another format, made once by llama.cpp's quantizer and kept beside it; `same`: as
    it is shipped."""
    source = pathlib.Path(model)
    if name == "same":
        return str(source)
    folder = source.parent / "bench"
    target = folder / f"{source.stem.rsplit('.', 1)[0]}.{name.upper()}.gguf"
    if not target.exists():
        say(f"converting {source.name} to {name}")
        folder.mkdir(exist_ok=True)
        part = target.with_suffix(".part")
        done = subprocess.run([f"{llama}/bin/llama-quantize", "--allow-requantize", str(source),
                               str(part), name.upper(), str(threads)],
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"llama-quantize failed:\n{done.stderr[-2000:]}")
        os.rename(part, target)
    return str(target)


def our_environment(shipped, model):
    """A cache of the bench's own: what is measured and converted here stays out of the user's. Only the
    file as it is shipped may be converted."""
    out = [("SLUICE_CACHE", str(pathlib.Path(shipped).parent / "bench" / "sluice"))]
    return tuple(out + [("SLUICE_WEIGHTS", "as-is")] * (model != shipped))


def ask(sluice, shipped, model, command, *more):
    """`sluice models COMMAND` for this file, in the bench's own cache."""
    return subprocess.run([sluice, "models", command, model, *more], capture_output=True, text=True,
                          env=dict(os.environ, **dict(our_environment(shipped, model))))


def get_ready(sluice, shipped, model, say):
    """What a user's second start finds: the costs measured and the weights' format chosen. Gives the
    words of each command."""
    words = []
    for command in ["prepare"] * (model == shipped) + ["calibrate"]:
        say(f"sluice models {command}")
        done = ask(sluice, shipped, model, command)
        words.append(f"sluice models {command}: " + (done.stdout or done.stderr).strip())
    return words
