"""Downloads of pinned files from the package indexes that pip and npm are set up for.

Nothing here names a host: the index comes from PIP_INDEX_URL, pip's configuration or pip's own
default, and npm packages come through `npm pack`. A file counts only when its hash is the pinned
one. Every failure is a SetupError whose text says what to do.
"""

import base64
import errno
import hashlib
import html.parser
import json
import os
import shutil
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

TIMEOUT_S = 60
ATTEMPTS = 3
CHUNK_BYTES = 1 << 20


class SetupError(Exception):
    """Something a person can fix; the message says how."""


def say(text):
    """One line of progress, on stderr because stdout carries the paths."""
    print(f"sluice: {text}", file=sys.stderr, flush=True)


def require_space(folder, megabytes, what):
    free = shutil.disk_usage(folder).free // (1 << 20)
    if free < megabytes:
        raise SetupError(
            f"{what} needs {megabytes} MB in {folder}, and {free} MB are free. "
            "Free some space, or name another place: SLUICE_CACHE=/path make ...")


def require_tool(name, package):
    path = shutil.which(name)
    if path is None:
        raise SetupError(f"`{name}` is not installed. Run scripts/install_packages.sh, "
                         f"or install the package {package} by hand.")
    return path


def run(command, what, timeout_s, **kwargs):
    """Runs a command quietly; on failure its last lines are part of the error."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, errors="replace", timeout=timeout_s, **kwargs)
    except subprocess.TimeoutExpired:
        raise SetupError(f"{what} took more than {timeout_s} s and was stopped. "
                         "Check the network and the load of this machine, then try again.")
    except FileNotFoundError:
        raise SetupError(f"{what}: `{command[0]}` is not installed. "
                         "Run scripts/install_packages.sh.")
    if done.returncode != 0:
        tail = "\n".join(done.stdout.strip().splitlines()[-25:])
        hint = " The disk is full: free some space." if "No space left" in done.stdout else ""
        raise SetupError(f"{what} failed (exit {done.returncode}).{hint} Its last words:\n{tail}")
    return done.stdout


def index_url():
    """The simple index pip would use."""
    from_environment = os.environ.get("PIP_INDEX_URL")
    if from_environment:
        return from_environment.rstrip("/")
    try:
        done = subprocess.run([sys.executable, "-m", "pip", "config", "get", "global.index-url"],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                              timeout=TIMEOUT_S)
        if done.returncode == 0 and done.stdout.strip():
            return done.stdout.strip().rstrip("/")
        from pip._internal.models.index import PyPI
    except (ImportError, OSError, subprocess.TimeoutExpired):
        raise SetupError("pip is needed to know the Python package index and is not installed. "
                         "Run scripts/install_packages.sh, or set PIP_INDEX_URL.")
    return PyPI.simple_url.rstrip("/")


def tls_context():
    """Trusts what pip is told to trust, else the system's certificates."""
    context = ssl.create_default_context()
    bundle = os.environ.get("PIP_CERT")
    if bundle and os.path.isfile(bundle):
        context.load_verify_locations(bundle)
    return context


def open_url(url, accept="*/*"):
    request = urllib.request.Request(url, headers={"Accept": accept, "User-Agent": "sluice-setup"})
    return urllib.request.urlopen(request, timeout=TIMEOUT_S, context=tls_context())


class LinkParser(html.parser.HTMLParser):
    """Collects the links of an HTML simple page (PEP 503)."""

    def __init__(self):
        super().__init__()
        self.links = []

    def handle_starttag(self, tag, attrs):
        if tag == "a":
            self.links += [value for name, value in attrs if name == "href" and value]


def find_file_url(page_url, text, content_type, filename):
    if "json" in content_type:
        links = [entry["url"] for entry in json.loads(text)["files"]]
    else:
        parser = LinkParser()
        parser.feed(text)
        links = parser.links
    for link in links:
        path = urllib.parse.urlsplit(link).path
        if urllib.parse.unquote(path.rsplit("/", 1)[-1]) == filename:
            return urllib.parse.urljoin(page_url, link.split("#")[0])
    raise SetupError(f"The Python package index has no file {filename}. Is PIP_INDEX_URL set to "
                     "a mirror that lacks it? Use another index.")


def copy_to_file(url, target):
    with open_url(url) as response, open(target, "wb") as out:
        shutil.copyfileobj(response, out, CHUNK_BYTES)


def with_retries(action, what):
    """Network failures are tried again; anything else is told at once."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return action()
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise SetupError(f"{what}: the disk is full. Free some space, or name another "
                                 "place: SLUICE_CACHE=/path make ...")
            if isinstance(error, urllib.error.HTTPError) and 400 <= error.code < 500:
                raise SetupError(f"{what}: the package index answered {error.code} "
                                 f"{error.reason}. Check PIP_INDEX_URL and the proxy settings.")
            if attempt == ATTEMPTS:
                raise SetupError(f"{what}: no answer from the network ({error}). Check the "
                                 "connection and the proxy settings (HTTPS_PROXY, PIP_INDEX_URL), "
                                 "then run the same command again.")
            time.sleep(attempt)


def check_hash(path, algorithm, expected, what):
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, algorithm).digest()
    found = base64.b64encode(digest).decode() if algorithm == "sha512" else digest.hex()
    if found != expected:
        os.unlink(path)
        raise SetupError(
            f"{what}: wrong hash. Expected {algorithm} {expected}, got {found}; the file was "
            "deleted. Run the command again; if it repeats, the index or a proxy serves another "
            "file than the one pinned in scripts/pins.json: do not use it.")


def is_fetched(path, algorithm, expected, what):
    """Is the file here and whole? A damaged one is removed, to be fetched again."""
    if not os.path.exists(path):
        return False
    try:
        check_hash(path, algorithm, expected, what)
    except SetupError:
        say(f"{os.path.basename(path)} in the cache is damaged; fetching it again")
        return False
    return True


def fetch_pypi(pin, folder):
    """The pinned file of a Python package, in `folder`; downloaded unless it is there."""
    target = os.path.join(folder, pin["file"])
    what = f"fetching {pin['file']}"
    if is_fetched(target, "sha256", pin["sha256"], what):
        return target
    require_space(folder, 200, what)
    say(what)
    page_url = f"{index_url()}/{pin['pypi']}/"
    accept = "application/vnd.pypi.simple.v1+json, text/html;q=0.5"

    def page():
        with open_url(page_url, accept) as response:
            return response.read().decode("utf-8"), response.headers.get("Content-Type", "")

    text, content_type = with_retries(page, what)
    url = find_file_url(page_url, text, content_type, pin["file"])
    part = f"{target}.{os.getpid()}.part"
    try:
        with_retries(lambda: copy_to_file(url, part), what)
        check_hash(part, "sha256", pin["sha256"], what)
        os.rename(part, target)
    finally:
        if os.path.exists(part):
            os.unlink(part)
    return target


def fetch_npm(pin, folder):
    """The pinned npm package as a .tgz in `folder`; downloaded unless it is there."""
    target = os.path.join(folder, f"{pin['npm']}-{pin['version']}.tgz")
    what = f"fetching {pin['npm']} {pin['version']}"
    algorithm, expected = pin["integrity"].split("-", 1)
    if is_fetched(target, algorithm, expected, what):
        return target
    require_tool("npm", "npm")
    require_space(folder, 200, what)
    say(what)
    part = f"{target}.{os.getpid()}.part"
    os.makedirs(part)
    try:
        run(["npm", "pack", f"{pin['npm']}@{pin['version']}", "--silent",
             "--pack-destination", part], what, 600, cwd=part)
        packed = [name for name in os.listdir(part) if name.endswith(".tgz")]
        if len(packed) != 1:
            raise SetupError(f"{what}: npm pack left {len(packed)} packages where one was expected.")
        check_hash(os.path.join(part, packed[0]), algorithm, expected, what)
        os.rename(os.path.join(part, packed[0]), target)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return target
