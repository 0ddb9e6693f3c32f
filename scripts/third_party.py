#!/usr/bin/env python3
"""Provides what Sluice needs and no system package has, in a cache outside the checkout.

    third_party.py ensure [ITEM ...]   fetch and build what is missing, print ITEM=PATH lines
    third_party.py paths               print the lines, fetch nothing

Items: llama, llama_serial (no OpenMP, for sanitizers), xgrammar, model, schema_suite,
mcp_servers, openai_js (the client of OpenAI), pytest, bench_python (LangGraph), bench_durable
(DBOS, LangGraph and Restate's SDK), restate (its server), llama_server (llama.cpp's server,
quantizer and bench for bench/serving); without a name what the tests need.
The cache is $SLUICE_CACHE or ~/.cache/sluice. $SLUICE_NATIVE=OFF builds llama.cpp for any
processor of this kind; $SLUICE_JOBS bounds the compilers that run at once. Each item is
made in a temporary folder and renamed, under a lock: two builds never collide.
"""

import argparse
import contextlib
import errno
import fcntl
import hashlib
import json
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import tarfile
import zipfile

sys.dont_write_bytecode = True
import downloads
from downloads import SetupError, say

ROOT = pathlib.Path(__file__).resolve().parent.parent
CACHE = pathlib.Path(os.environ.get("SLUICE_CACHE") or pathlib.Path.home() / ".cache" / "sluice")
PINS = json.loads((ROOT / "scripts" / "pins.json").read_text())
DEFAULT_ITEMS = ["llama", "xgrammar", "model", "schema_suite", "mcp_servers", "openai_js",
                 "pytest"]
COMPILER_FLAGS = ["-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_C_COMPILER=clang-19",
                  "-DCMAKE_CXX_COMPILER=clang++-19"]
BUILD_TIMEOUT_S = 3600


def short_hash(*parts):
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part if isinstance(part, bytes) else str(part).encode())
        digest.update(b"\0")
    return digest.hexdigest()[:10]


def cpu_identity():
    """What -march=native depends on: a cache shared by unlike machines keeps them apart."""
    with contextlib.suppress(OSError):
        for line in open("/proc/cpuinfo"):
            if line.startswith(("flags", "Features")):
                return line
    return platform.machine()


def llama_flags(openmp):
    native = os.environ.get("SLUICE_NATIVE", "ON")
    return COMPILER_FLAGS + [f"-DGGML_NATIVE={native}", f"-DGGML_OPENMP={openmp}"]


def git_state(source):
    """What a developer's checkout holds now, so that a change of it is built anew."""
    state = b""
    for command in (["rev-parse", "HEAD"], ["diff", "HEAD"]):
        done = subprocess.run(["git", "-C", source, *command], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, timeout=60)
        state += done.stdout
    return short_hash(state)


def llama_path(openmp, source):
    recipe = (ROOT / "cmake" / "llama" / "CMakeLists.txt").read_bytes()
    flags = llama_flags(openmp)
    cpu = cpu_identity() if "-DGGML_NATIVE=ON" in flags else ""
    pin = PINS["llama"]
    if source:
        pin = {"release": "local", "source": os.path.realpath(source), "state": git_state(source)}
    key = short_hash(recipe, flags, cpu, json.dumps(pin))
    return CACHE / f"llama.cpp-{pin['release']}-{key}"


def llama_server_path(source):
    """It links the libraries of the item llama, whose key covers release, flags and processor."""
    recipe = (ROOT / "cmake" / "llama_server" / "CMakeLists.txt").read_bytes()
    return CACHE / f"llama-server-{short_hash(recipe, llama_path('ON', source).name)}"


def xgrammar_path():
    recipe = (ROOT / "cmake" / "xgrammar" / "CMakeLists.txt").read_bytes()
    key = short_hash(recipe, COMPILER_FLAGS, PINS["xgrammar"]["sha256"])
    return CACHE / f"xgrammar-{PINS['xgrammar']['version']}-{key}"


# The folder of the package-lock.json of each set of npm packages.
NPM_FOLDERS = {"mcp_servers": ROOT / "tests/e2e/mcp", "openai_js": ROOT / "tests/e2e/openai_js",
               "restate": ROOT / "bench/durable"}


def npm_modules(item):
    lock = NPM_FOLDERS[item] / "package-lock.json"
    key = short_hash(lock.read_bytes() if lock.exists() else b"")
    return CACHE / f"{item.replace('_', '-')}-{key}" / "node_modules"


# The requirements file of each Python environment.
REQUIREMENTS = {"pytest": ROOT / "tests/e2e/requirements.txt",
                "bench_python": ROOT / "bench/requirements.txt",
                "bench_durable": ROOT / "bench/durable/requirements.txt"}


def environment_path(item):
    file = REQUIREMENTS[item]
    key = short_hash(file.read_bytes() if file.exists() else b"", sys.version, sys.executable)
    return CACHE / f"{item}-{key}"


def paths(source):
    pin = PINS["model"]
    return {
        "cache": CACHE,
        "llama": llama_path("ON", source),
        "llama_serial": llama_path("OFF", source),
        "llama_server": llama_server_path(source),
        "xgrammar": xgrammar_path(),
        "model": CACHE / "models" / pathlib.Path(pin["member"]).name,
        "schema_suite": CACHE / f"jsonschema-suite-{PINS['schema_suite']['version']}" / "json",
        "mcp_servers": npm_modules("mcp_servers"),
        "openai_js": npm_modules("openai_js"),
        "restate": npm_modules("restate"),
        "pytest": environment_path("pytest") / "bin" / "python",
        "bench_python": environment_path("bench_python") / "bin" / "python",
        "bench_durable": environment_path("bench_durable") / "bin" / "python",
    }


@contextlib.contextmanager
def locked(name):
    """One process at a time makes an item; the others wait and then find it done."""
    with open(CACHE / f"{name}.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting: another process is making {name}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def made_in_temporary(target):
    """A fresh folder that becomes `target` when the block ends well, and is removed when not."""
    temporary = target.parent / f"tmp-{target.name}"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        os.rename(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def downloads_folder():
    folder = CACHE / "downloads"
    folder.mkdir(parents=True, exist_ok=True)
    return str(folder)


def extract(archive, folder):
    """Unpacks a .tar.gz; Python before 3.11.4 has no extraction filter."""
    with tarfile.open(archive) as tar:
        if hasattr(tarfile, "data_filter"):
            tar.extractall(folder, filter="data")
        else:
            tar.extractall(folder)


def cmake_install(recipe, build, prefix, flags, target):
    for tool in (("cmake", "cmake"), ("ninja", "ninja-build"), ("clang++-19", "clang-19")):
        downloads.require_tool(*tool)
    if shutil.which("ccache"):
        flags = flags + ["-DCMAKE_C_COMPILER_LAUNCHER=ccache",
                         "-DCMAKE_CXX_COMPILER_LAUNCHER=ccache"]
    jobs = os.environ.get("SLUICE_JOBS", str(os.cpu_count() or 2))
    downloads.run(["cmake", "-G", "Ninja", "-S", str(ROOT / "cmake" / recipe), "-B", str(build),
                   f"-DCMAKE_INSTALL_PREFIX={prefix}", *flags], f"configuring {recipe}", 300)
    downloads.run(["nice", "cmake", "--build", str(build), "--target", target, "-j", jobs],
                  f"building {recipe}", BUILD_TIMEOUT_S)
    downloads.run(["cmake", "--install", str(build)], f"installing {recipe}", 300)


def unpack_llama(folder):
    """The source of the pinned release: the npm package carries it as a git bundle."""
    package = downloads.fetch_npm(PINS["llama"], downloads_folder())
    downloads.require_tool("git", "git")
    bundle = folder / "llama.bundle"
    with tarfile.open(package) as tar:
        member = tar.extractfile("package/llama/gitRelease.bundle")
        with open(bundle, "wb") as out:
            shutil.copyfileobj(member, out)
    source = folder / "source"
    downloads.run(["git", "clone", "--quiet", "-c", "advice.detachedHead=false", str(bundle),
                   str(source)], "unpacking llama.cpp", 300)
    return source


def make_llama(target, openmp, source):
    downloads.require_space(CACHE, 1500, "building llama.cpp")
    with made_in_temporary(target) as folder:
        where = pathlib.Path(source).resolve() if source else unpack_llama(folder)
        say(f"building llama.cpp (OpenMP {openmp}): once per machine, 4 to 8 minutes on two cores")
        cmake_install("llama", folder / "build", folder,
                      llama_flags(openmp) + [f"-DLLAMA_CPP_SOURCE_DIR={where}"], "sluice_llama")
        for left in ("build", "source", "llama.bundle"):
            remove(folder / left)


def make_llama_server(target, source):
    libraries = llama_path("ON", source)
    ensure("llama", libraries, source)
    downloads.require_space(CACHE, 1500, "building llama.cpp's server")
    with made_in_temporary(target) as folder:
        where = pathlib.Path(source).resolve() if source else unpack_llama(folder)
        say("building llama.cpp's server: once per machine, 4 to 8 minutes on two cores")
        cmake_install("llama_server", folder / "build", folder,
                      COMPILER_FLAGS + [f"-DLLAMA_CPP_SOURCE_DIR={where}",
                                        f"-DSLUICE_LLAMA_PREFIX={libraries}"],
                      "sluice_llama_server")
        for left in ("build", "source", "llama.bundle"):
            remove(folder / left)


def remove(path):
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def make_xgrammar(target):
    pin = PINS["xgrammar"]
    downloads.require_space(CACHE, 500, "building XGrammar")
    archive = downloads.fetch_pypi(pin, downloads_folder())
    with made_in_temporary(target) as folder:
        extract(archive, folder / "source")
        say("building XGrammar: once per machine, about a minute on two cores")
        source = folder / "source" / f"xgrammar-{pin['version']}"
        cmake_install("xgrammar", folder / "build", folder,
                      COMPILER_FLAGS + [f"-DXGRAMMAR_SOURCE_DIR={source}"], "xgrammar")
        for left in ("build", "source"):
            remove(folder / left)


def make_model(target):
    pin = PINS["model"]
    wheel = downloads.fetch_pypi(pin, downloads_folder())
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    with zipfile.ZipFile(wheel) as archive, archive.open(pin["member"]) as member:
        with open(part, "wb") as out:
            shutil.copyfileobj(member, out, 1 << 20)
    os.rename(part, target)
    os.unlink(wheel)


def make_schema_suite(target):
    archive = downloads.fetch_pypi(PINS["schema_suite"], downloads_folder())
    with made_in_temporary(target.parent) as folder:
        extract(archive, folder / "source")
        package = folder / "source" / f"jsonschema-{PINS['schema_suite']['version']}"
        os.rename(package / "json", folder / "json")
        shutil.rmtree(folder / "source")


def make_npm_modules(item, target):
    downloads.require_tool("npm", "npm")
    source = NPM_FOLDERS[item]
    with made_in_temporary(target.parent) as folder:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(source / name, folder / name)
        say(f"installing {source.relative_to(ROOT)}/package-lock.json: once per machine")
        downloads.run(["npm", "ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"],
                      "npm ci", 600, cwd=folder)


def make_environment(item, target):
    """A virtual environment cannot be renamed, so a stamp says that it is whole."""
    venv = target.parent.parent
    file = REQUIREMENTS[item]
    say(f"installing {file.relative_to(ROOT)} into a Python environment: once per machine")
    shutil.rmtree(venv, ignore_errors=True)
    downloads.run([sys.executable, "-m", "venv", str(venv)], "making a virtual environment", 300)
    downloads.run([str(target), "-m", "pip", "install", "--quiet", "--require-hashes",
                   "--only-binary", ":all:", "-r", str(file)],
                  f"installing {file}", 600)
    (venv / "complete").touch()


def is_made(item, path):
    if item in REQUIREMENTS:
        return (path.parent.parent / "complete").exists()
    return path.exists()


def ensure(item, path, source):
    if is_made(item, path):
        return
    with locked(item):
        if is_made(item, path):
            return
        if item in ("llama", "llama_serial"):
            make_llama(path, "ON" if item == "llama" else "OFF", source)
        elif item == "llama_server":
            make_llama_server(path, source)
        elif item in REQUIREMENTS:
            make_environment(item, path)
        elif item in NPM_FOLDERS:
            make_npm_modules(item, path)
        else:
            makers = {"xgrammar": make_xgrammar, "model": make_model,
                      "schema_suite": make_schema_suite}
            makers[item](path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=["ensure", "paths"])
    parser.add_argument("items", nargs="*", metavar="ITEM")
    parser.add_argument("--llama-source", default=os.environ.get("LLAMA_CPP_SOURCE_DIR"),
                        help="a checkout of llama.cpp in place of the pinned one "
                             "(default: $LLAMA_CPP_SOURCE_DIR)")
    options = parser.parse_args()
    known = paths(options.llama_source)
    unknown = [item for item in options.items if item not in known or item == "cache"]
    if unknown:
        parser.error(f"no item named {', '.join(unknown)}")
    try:
        if options.command == "ensure":
            CACHE.mkdir(parents=True, exist_ok=True)
            for item in options.items or DEFAULT_ITEMS:
                ensure(item, known[item], options.llama_source)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise SetupError(f"the disk that holds {CACHE} is full. Free some space, or name "
                             "another place: SLUICE_CACHE=/path make ...")
        raise SetupError(f"{error.strerror}: {error.filename or CACHE}. Check the rights to write "
                         "there, or name another place: SLUICE_CACHE=/path make ...")
    for name, path in known.items():
        print(f"{name}={path}")


if __name__ == "__main__":
    try:
        main()
    except SetupError as error:
        print(f"sluice: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("sluice: interrupted; run the same command again to go on", file=sys.stderr)
        sys.exit(130)
