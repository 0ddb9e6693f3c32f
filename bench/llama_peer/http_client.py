"""A client for /v1/chat/completions that costs little: raw HTTP/1.1 over asyncio, one connection per
request (both servers then spend the same on it), streaming or not. It shares the cores with the server,
so its own processor time is part of every report."""

import asyncio
import dataclasses
import json
import re
import time

LIMIT_BYTES = 1 << 24


@dataclasses.dataclass
class Answer:
    """One request as its client saw it; times are seconds on the client's clock, 0 where not reached."""
    kind: str
    tenant: str = ""
    name: str = ""
    start_s: float = 0
    first_s: float = 0
    end_s: float = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    text: str = ""
    finish: str = ""
    error: str = ""
    token_times: list = dataclasses.field(default_factory=list)
    logprobs: list = dataclasses.field(default_factory=list)  # as they come, where asked for

    @property
    def computed_tokens(self):
        return self.prompt_tokens - self.cached_tokens

    @property
    def seconds(self):
        return self.end_s - self.start_s

    @property
    def first_token_seconds(self):
        return self.first_s - self.start_s

    @property
    def slowest_gap(self):
        times = self.token_times
        return max((b - a for a, b in zip(times, times[1:])), default=0.0)


class Client:
    """Sends requests to one server; `extra` goes into every body. With `tells`, requests carry what
    their program knows (see README.md); a plain client sends only what OpenAI's routes define."""

    def __init__(self, port, extra=None, tells=False, timeout_s=600):
        self.port = port
        self.extra = extra or {}
        self.tells = tells
        self.timeout_s = timeout_s

    def of_tenant(self, tenant):
        return Client(self.port, {**self.extra, "user": tenant, "sluice": {"tenant": tenant}},
                      self.tells, self.timeout_s)

    def hints(self, program, turn, turns, max_tokens):
        """The fields of a turn of an agent whose program tells what it knows."""
        if not self.tells:
            return {}
        last = turn + 1 == turns
        return {"sluice": {"program": program, "returns": not last, "last": last,
                           "rank": turns - turn - 1, "expected_tokens": max_tokens,
                           **({} if last else {"next_tool": "search"})}}

    async def chat(self, messages, max_tokens, kind, tenant="", name="", stream=True, fields=None):
        body = {"messages": messages, "max_tokens": max_tokens, "temperature": 0, "stream": stream,
                **self.extra, **(fields or {})}
        if stream:
            body["stream_options"] = {"include_usage": True}
        answer = Answer(kind, tenant, name, start_s=time.perf_counter())
        try:
            await asyncio.wait_for(self._exchange(json.dumps(body).encode(), answer, stream),
                                   self.timeout_s)
            if not answer.error and not answer.finish:
                answer.error = "the answer broke off"
        except (OSError, asyncio.TimeoutError, asyncio.IncompleteReadError, ValueError,
                KeyError) as error:
            answer.error = f"{type(error).__name__}: {error}"
        answer.end_s = time.perf_counter()
        return answer

    async def _exchange(self, body, answer, stream):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=LIMIT_BYTES)
        try:
            writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                         b"Content-Type: application/json\r\nConnection: close\r\n"
                         b"Content-Length: %d\r\n\r\n" % len(body) + body)
            status, headers = await read_head(reader)
            if status != 200:
                answer.error = f"{status} " + (await read_whole(reader, headers))[:300].decode(
                    errors="replace")
            elif stream:
                await read_events(reader, headers, answer)
            else:
                take_whole(json.loads(await read_whole(reader, headers)), answer)
        finally:
            writer.close()


async def get(port, path):
    """(status, body) of a GET."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n" %
                     path.encode())
        status, headers = await read_head(reader)
        return status, await read_whole(reader, headers)
    finally:
        writer.close()


async def post(port, path, body):
    """(status, body) of a POST of JSON."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=LIMIT_BYTES)
    try:
        writer.write(b"POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                     b"Connection: close\r\nContent-Length: %d\r\n\r\n" %
                     (path.encode(), len(body)) + body)
        status, headers = await read_head(reader)
        return status, await read_whole(reader, headers)
    finally:
        writer.close()


async def model_name(port):
    """What the server calls its model."""
    return json.loads((await get(port, "/v1/models"))[1])["data"][0]["id"]


async def engine_counters(port):
    """{name: value} of the engine's own counters; {} where the server has no /metrics."""
    status, body = await get(port, "/metrics")
    found = re.findall(r"^sluice_(\w+?)(?:_total)?\{model=[^}]*\} (\S+)$", body.decode(), re.MULTILINE)
    return {name: float(value) for name, value in found} if status == 200 else {}


async def read_head(reader):
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in head[1:] if ": " in line)
    return int(head[0].split()[1]), headers


async def pieces(reader, headers):
    """The body as it comes in, without its transfer encoding."""
    if headers.get("transfer-encoding") == "chunked":
        while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            yield (await reader.readexactly(size + 2))[:-2]
    elif "content-length" in headers:
        yield await reader.readexactly(int(headers["content-length"]))
    else:
        while data := await reader.read(1 << 16):
            yield data


async def read_whole(reader, headers):
    return b"".join([piece async for piece in pieces(reader, headers)])


def take_usage(usage, answer):
    answer.prompt_tokens = usage["prompt_tokens"]
    answer.completion_tokens = usage["completion_tokens"]
    details = usage.get("prompt_tokens_details") or {}
    answer.cached_tokens = details.get("cached_tokens") or 0


def take_whole(reply, answer):
    choice = reply["choices"][0]
    answer.text = choice["message"].get("content") or ""
    answer.finish = choice["finish_reason"] or "none"
    answer.logprobs = (choice.get("logprobs") or {}).get("content") or []
    take_usage(reply["usage"], answer)


def take_event(data, now, answer):
    event = json.loads(data)
    if "error" in event:
        answer.error = json.dumps(event["error"])[:300]
    for choice in event.get("choices") or []:
        text = (choice.get("delta") or {}).get("content")
        if text:
            answer.first_s = answer.first_s or now
            answer.token_times.append(now)
            answer.text += text
        answer.finish = choice.get("finish_reason") or answer.finish
    if event.get("usage"):
        take_usage(event["usage"], answer)


async def read_events(reader, headers, answer):
    rest = b""
    async for piece in pieces(reader, headers):
        now = time.perf_counter()
        *events, rest = (rest + piece).replace(b"\r\n", b"\n").split(b"\n\n")
        for event in events:
            if event.startswith(b"data: ") and event != b"data: [DONE]":
                take_event(event[6:], now, answer)
