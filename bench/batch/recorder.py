"""A server between a client and llama-server that hands everything on and keeps what was asked."""

import asyncio
import json


class Recorder:
    def __init__(self, upstream_port):
        self.upstream_port = upstream_port
        self.requests = []
        self.server = None
        self.exchanges = set()

    async def open(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0, limit=1 << 24)
        return self

    @property
    def port(self):
        return self.server.sockets[0].getsockname()[1]

    async def close(self):
        self.server.close()
        for exchange in list(self.exchanges):
            exchange.cancel()
        await self.server.wait_closed()

    def take(self):
        """What was asked since the last time."""
        taken, self.requests = self.requests, []
        return taken

    async def serve(self, reader, writer):
        self.exchanges.add(asyncio.current_task())
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = [line for line in head[1:] if line and not line.lower().startswith(
                ("connection:", "expect:"))]
            length = next((int(line.split(":")[1]) for line in headers
                           if line.lower().startswith("content-length:")), 0)
            if any(line.lower().startswith("expect:") for line in head):
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = await reader.readexactly(length)
            if head[0].startswith("POST") and "/chat/completions" in head[0]:
                self.requests.append(json.loads(body))
            answers, upstream = await asyncio.open_connection("127.0.0.1", self.upstream_port)
            upstream.write("\r\n".join([head[0], *headers, "Connection: close", "", ""]).encode(
                "latin-1") + body)
            while data := await answers.read(1 << 16):
                writer.write(data)
                await writer.drain()
            upstream.close()
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client sees a connection that ends
        finally:
            self.exchanges.discard(asyncio.current_task())
            writer.close()
