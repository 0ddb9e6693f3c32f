"""`sluice serve` with the official JavaScript client, as it is: openai_js/client.js asserts."""

import os
import pathlib
import subprocess

import pytest

from serving import Served

SCRIPT = pathlib.Path(__file__).parent / "openai_js" / "client.js"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    served = Served(tmp_path_factory.mktemp("serve"), "--context", 1024)
    yield served
    served.close()


@pytest.mark.parametrize("what", ["chat", "stream", "tools", "structured", "completions",
                                  "embeddings", "models", "errors", "abort"])
def test_javascript(server, what):
    assert os.environ.get("SLUICE_OPENAI_JS"), "run the tests with make test"
    done = subprocess.run(["node", str(SCRIPT), server.url, what], capture_output=True, text=True,
                          timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip() == f"{what} good"
