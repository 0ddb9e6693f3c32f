#!/usr/bin/env python3
"""scripts/third_party.py against a package index of our own on this machine.

    test_third_party.py [RESULTS.xml]

What `make demo` promises for a bare machine: a wrong hash, no network, a full disk or a missing
tool ends with a sentence that says what to do, and leaves nothing half made behind.
"""

import fcntl
import hashlib
import http.server
import io
import json
import os
import pathlib
import subprocess
import sys
import tarfile
import tempfile
import threading
import unittest
from unittest import mock

sys.dont_write_bytecode = True
ROOT = pathlib.Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests")]
import downloads
import junit_results

CONTENT = b"the bytes of a package"
PIN = {"pypi": "sample", "version": "1.0", "file": "sample-1.0.tar.gz",
       "sha256": hashlib.sha256(CONTENT).hexdigest()}


class Index(http.server.BaseHTTPRequestHandler):
    """A simple index with one file, as HTML or as JSON."""

    as_json = False
    status = 200
    requests = 0

    def do_GET(self):
        Index.requests += 1
        if Index.status != 200:
            self.send_error(Index.status)
        elif self.path.endswith(".tar.gz"):
            self.reply("application/octet-stream", CONTENT)
        elif Index.as_json:
            files = [{"filename": PIN["file"], "url": f"../../files/{PIN['file']}"}]
            self.reply("application/vnd.pypi.simple.v1+json", json.dumps({"files": files}).encode())
        else:
            link = f'<a href="../../files/{PIN["file"]}#sha256=00">{PIN["file"]}</a>'
            self.reply("text/html", link.encode())

    def reply(self, content_type, body):
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments):
        pass


class Downloads(unittest.TestCase):
    def setUp(self):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Index)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        Index.as_json, Index.status, Index.requests = False, 200, 0
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        url = f"http://127.0.0.1:{self.server.server_address[1]}/simple"
        self.enterContext(mock.patch.dict(os.environ, {"PIP_INDEX_URL": url, "no_proxy": "*"}))
        self.enterContext(mock.patch("downloads.say"))
        self.enterContext(mock.patch("time.sleep"))

    def fetch(self, **changes):
        return pathlib.Path(downloads.fetch_pypi(PIN | changes, self.folder.name))

    def assert_fails_with(self, words, **changes):
        with self.assertRaisesRegex(downloads.SetupError, words):
            self.fetch(**changes)
        self.assertEqual([], os.listdir(self.folder.name), "a failure left something behind")

    def test_fetches_from_an_html_page(self):
        self.assertEqual(CONTENT, self.fetch().read_bytes())

    def test_fetches_from_a_json_page(self):
        Index.as_json = True
        self.assertEqual(CONTENT, self.fetch().read_bytes())

    def test_asks_nobody_for_what_is_here(self):
        self.fetch()
        asked = Index.requests
        self.fetch()
        self.assertEqual(asked, Index.requests)

    def test_replaces_a_damaged_file(self):
        (pathlib.Path(self.folder.name) / PIN["file"]).write_bytes(b"cut short")
        self.assertEqual(CONTENT, self.fetch().read_bytes())

    def test_wrong_hash(self):
        self.assert_fails_with("wrong hash.*do not use it", sha256="0" * 64)

    def test_file_that_the_index_lacks(self):
        self.assert_fails_with("has no file other-1.0.tar.gz", file="other-1.0.tar.gz")

    def test_refusal(self):
        Index.status = 403
        self.assert_fails_with("answered 403.*Check PIP_INDEX_URL")
        self.assertEqual(1, Index.requests, "a refusal is not tried again")

    def test_server_that_fails_is_tried_again(self):
        Index.status = 503
        self.assert_fails_with("no answer from the network.*run the same command again")
        self.assertEqual(downloads.ATTEMPTS, Index.requests)

    def test_no_network(self):
        with mock.patch.dict(os.environ, {"PIP_INDEX_URL": "http://127.0.0.1:9/simple"}):
            self.assert_fails_with("no answer from the network.*HTTPS_PROXY")

    def test_full_disk(self):
        full = OSError(28, "No space left on device")
        with mock.patch("downloads.copy_to_file", side_effect=full):
            self.assert_fails_with("the disk is full.*SLUICE_CACHE=")

    def test_too_little_space(self):
        with mock.patch("shutil.disk_usage", return_value=mock.Mock(free=5 << 20)):
            self.assert_fails_with("needs 200 MB.*5 MB are free")

    def test_missing_tool(self):
        with self.assertRaisesRegex(downloads.SetupError, "`no-such-tool` is not installed.*Run"):
            downloads.require_tool("no-such-tool", "no-such-package")


class CommandLine(unittest.TestCase):
    """The script as a process, in a cache of its own."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.cache = pathlib.Path(self.folder.name)

    def call(self, *arguments, **environment):
        return subprocess.run(
            [sys.executable, str(ROOT / "scripts/third_party.py"), *arguments],
            env=os.environ | {"SLUICE_CACHE": str(self.cache)} | environment,
            capture_output=True, text=True, timeout=60)

    def test_paths_lie_in_the_cache_and_are_not_made(self):
        done = self.call("paths")
        found = dict(line.split("=", 1) for line in done.stdout.splitlines())
        self.assertTrue({"llama", "xgrammar", "model", "schema_suite"} <= found.keys())
        self.assertTrue(all(path.startswith(str(self.cache)) for path in found.values()))
        self.assertEqual([], os.listdir(self.cache))

    def test_another_source_of_llama_has_a_place_of_its_own(self):
        pinned = self.call("paths").stdout
        other = self.call("paths", "--llama-source", "/somewhere").stdout
        self.assertNotEqual(pinned.splitlines()[1], other.splitlines()[1])

    def test_failure_is_one_sentence_and_no_traceback(self):
        done = self.call("ensure", "schema_suite", PIP_INDEX_URL="http://127.0.0.1:9/simple",
                         no_proxy="*")
        self.assertEqual(1, done.returncode)
        self.assertIn("no answer from the network", done.stderr)
        self.assertNotIn("Traceback", done.stderr)

    def test_interrupted_make_leaves_nothing_and_the_next_one_starts_afresh(self):
        pin = json.loads((ROOT / "scripts/pins.json").read_text())["schema_suite"]
        name = f"jsonschema-suite-{pin['version']}"
        (self.cache / f"tmp-{name}" / "half").mkdir(parents=True)
        with mock.patch.dict(os.environ, {"SLUICE_CACHE": str(self.cache)}):
            code = ("import sys; sys.path.insert(0, sys.argv[1]); import third_party, pathlib\n"
                    "with third_party.made_in_temporary(pathlib.Path(sys.argv[2])) as folder:\n"
                    "    assert not list(folder.iterdir()); raise SystemExit(7)\n")
            done = subprocess.run([sys.executable, "-c", code, str(ROOT / "scripts"),
                                   str(self.cache / name)], timeout=60)
        self.assertEqual(7, done.returncode)
        self.assertEqual([], os.listdir(self.cache))

    def test_two_processes_wait_for_each_other(self):
        with open(self.cache / "schema_suite.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            process = subprocess.Popen(
                [sys.executable, str(ROOT / "scripts/third_party.py"), "ensure", "schema_suite"],
                env=os.environ | {"SLUICE_CACHE": str(self.cache), "no_proxy": "*",
                                  "PIP_INDEX_URL": "http://127.0.0.1:9/simple"},
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            self.assertIn("waiting: another process", process.stderr.readline())
            self.make_suite()
        _, words = process.communicate(timeout=60)
        self.assertEqual((0, ""), (process.returncode, words))

    def make_suite(self):
        """What the other process would have made."""
        found = dict(line.split("=", 1) for line in self.call("paths").stdout.splitlines())
        pathlib.Path(found["schema_suite"]).mkdir(parents=True)


class Archives(unittest.TestCase):
    def test_an_archive_that_climbs_out_is_refused(self):
        import third_party
        with tempfile.TemporaryDirectory() as folder:
            archive = pathlib.Path(folder) / "bad.tar.gz"
            with tarfile.open(archive, "w:gz") as tar:
                member = tarfile.TarInfo("../outside")
                member.size = 1
                tar.addfile(member, io.BytesIO(b"x"))
            if not hasattr(tarfile, "data_filter"):
                self.skipTest("this Python has no extraction filter; the hash is the guard")
            with self.assertRaises(tarfile.TarError):
                third_party.extract(archive, pathlib.Path(folder) / "inside")


if __name__ == "__main__":
    sys.exit(junit_results.main(sys.modules[__name__], "setup"))
