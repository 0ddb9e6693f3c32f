"""The two servers as processes: started with a model and settings, asked for health, measured, ended."""

import asyncio
import dataclasses
import os
import pathlib
import signal
import socket
import subprocess
import time

import http_client

START_S = 120


@dataclasses.dataclass(frozen=True)
class Setup:
    """One way to start one side."""
    side: str              # "sluice" or "llama-server"
    name: str              # as printed
    program: str
    model: str
    arguments: tuple = ()
    environment: tuple = ()
    hints: bool = False    # requests tell what their program knows


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def busy_seconds():
    """Processor time of everything on this machine since it started."""
    user, nice, system, _, _, irq, soft = (
        int(word) for word in pathlib.Path("/proc/stat").read_text().split("\n")[0].split()[1:8])
    return (user + nice + system + irq + soft) / os.sysconf("SC_CLK_TCK")


class Server:
    def __init__(self, setup, log_folder):
        self.setup = setup
        self.port = free_port()
        if setup.side == "sluice":
            command = [setup.program, "serve", "--model", setup.model, "--port", str(self.port)]
        else:
            command = [setup.program, "--model", setup.model, "--port", str(self.port)]
        command += setup.arguments
        path = pathlib.Path(log_folder) / f"{setup.side}-{self.port}.log"
        self.log = open(path, "w+")
        self.process = subprocess.Popen(
            command, stdout=self.log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            env=dict(os.environ, **dict(setup.environment)))

    def tail(self):
        self.log.flush()
        self.log.seek(0)
        return self.log.read()[-3000:]

    async def ready(self):
        end = time.monotonic() + START_S
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise SystemExit(f"{self.setup.name} ended with {self.process.returncode}:\n"
                                 f"{self.tail()}")
            if await self.healthy():
                return
            await asyncio.sleep(0.1)
        raise SystemExit(f"{self.setup.name} was not ready after {START_S} s:\n{self.tail()}")

    async def healthy(self):
        try:
            return (await http_client.get(self.port, "/health"))[0] == 200
        except (OSError, asyncio.IncompleteReadError):
            return False

    def resident_mb(self):
        """(peak, now, of which not from files) in MB; the file part is the model, mapped."""
        fields = {}
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            name, _, value = line.partition(":")
            if name in ("VmHWM", "VmRSS", "RssAnon"):
                fields[name] = int(value.split()[0]) / 1024
        return fields["VmHWM"], fields["VmRSS"], fields["RssAnon"]

    def processor_seconds(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()
