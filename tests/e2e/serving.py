"""A real `sluice serve` for the tests of this folder."""

import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess

from conftest import BINARY, environment


class Served:
    """One server process on a port of its own."""

    def __init__(self, folder, *arguments, limit_files=None):
        self.log = open(pathlib.Path(folder) / "serve.log", "w+")
        model = os.environ.get("SLUICE_TEST_MODEL")
        chosen = ["--model", f"small={model}"] if model and "--model" not in arguments else []
        self.process = subprocess.Popen(
            [BINARY, "serve", "--port", "0", "--json", *chosen, *map(str, arguments)],
            stdout=subprocess.PIPE, stderr=self.log, env=environment(), text=True)
        line = self.process.stdout.readline()
        assert line, f"the server said nothing: {self.said()}"
        self.ready = json.loads(line)
        self.url = self.ready["url"]
        self.host, port = self.ready["address"].rsplit(":", 1)
        self.port = int(port)

    def said(self):
        self.log.seek(0)
        return self.log.read()

    def client(self, **options):
        import openai
        return openai.OpenAI(**{"base_url": self.url, "api_key": "none", "max_retries": 0,
                                "timeout": 120, **options})

    def connect(self):
        return socket.create_connection((self.host, self.port), timeout=60)

    def ask(self, method, path, body=None, headers=None):
        """A plain request: (status, headers, body)."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=120)
        data = json.dumps(body) if isinstance(body, (dict, list)) else body
        connection.request(method, path, data, headers or {})
        response = connection.getresponse()
        answer = response.status, dict(response.getheaders()), response.read()
        connection.close()
        return answer

    def chat(self, content, **more):
        return self.ask("POST", "/v1/chat/completions", {
            "model": "default", "max_tokens": 4, "temperature": 0,
            "messages": [{"role": "user", "content": content}], **more})

    def metric(self, name):
        """The sum of a metric's samples."""
        text = self.ask("GET", "/metrics")[2].decode()
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines()
                   if line.startswith((name + " ", name + "{")))

    def end(self, sign=signal.SIGTERM, seconds=30):
        if self.process.poll() is None:
            self.process.send_signal(sign)
        return self.process.wait(seconds)

    def close(self):
        try:
            self.end(seconds=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.log.close()
