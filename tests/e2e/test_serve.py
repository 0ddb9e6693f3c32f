"""`sluice serve` with the official Python client and a real model: every route, streams, tools,
structured output, errors."""

import asyncio
import json
import re

import openai
import pytest

from serving import Served

HELLO = [{"role": "user", "content": "Say hello."}]
WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "The weather of a city", "parameters": {
        "type": "object", "properties": {"city": {"type": "string", "maxLength": 20}},
        "required": ["city"], "additionalProperties": False}}}
SCHEMA = {"type": "object", "additionalProperties": False, "required": ["color", "count"],
          "properties": {"color": {"enum": ["red", "green"]}, "count": {"type": "integer",
                                                                      "minimum": 0, "maximum": 9}}}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    served = Served(tmp_path_factory.mktemp("serve"), "--context", 1024, "--log", "requests")
    yield served
    served.close()


@pytest.fixture
def client(server):
    return server.client()


def chat(client, messages=HELLO, **more):
    options = {"model": "small", "messages": messages, "temperature": 0, "max_tokens": 8, **more}
    return client.chat.completions.create(**options)


def test_a_chat(client):
    done = chat(client)
    assert done.object == "chat.completion" and done.model == "small"
    choice = done.choices[0]
    assert choice.message.role == "assistant" and choice.message.content
    assert choice.finish_reason in ("stop", "length")
    assert done.usage.prompt_tokens > 5
    assert 0 < done.usage.completion_tokens <= 8
    assert done.usage.total_tokens == done.usage.prompt_tokens + done.usage.completion_tokens
    assert done._request_id.startswith("req_")


def test_a_stream_says_the_same(client):
    whole = chat(client, seed=1).choices[0]
    chunks = list(chat(client, seed=1, stream=True, stream_options={"include_usage": True}))
    assert chunks[0].choices[0].delta.role == "assistant"
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    # The prefix is shared the second time, so near ties may flip: compared where it matters.
    assert text and text.split()[:2] == whole.message.content.split()[:2]
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == whole.finish_reason
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens > 0
    assert len({c.id for c in chunks}) == 1


def test_what_was_computed_is_not_computed_again(client):
    asked = [{"role": "user", "content": "Once more: " + "a long story about a cat. " * 20}]
    chat(client, asked, max_tokens=1)
    again = chat(client, asked, max_tokens=1)
    details = again.usage.prompt_tokens_details
    assert details.cached_tokens > again.usage.prompt_tokens // 2


def test_choices_seeds_and_stops(client):
    done = chat(client, n=3, temperature=1.5, seed=7)
    assert [c.index for c in done.choices] == [0, 1, 2]
    assert len({c.message.content for c in done.choices}) > 1
    stopped = chat(client, [{"role": "user", "content": "Count: 1 2 3 4 5"}], stop=[" "],
                   max_tokens=20).choices[0]
    assert " " not in stopped.message.content


def test_log_probabilities(client):
    content = chat(client, logprobs=True, top_logprobs=3, max_tokens=3).choices[0].logprobs.content
    assert len(content) == 3
    for one in content:
        assert one.logprob <= 0 and len(one.top_logprobs) == 3
        assert one.token == one.top_logprobs[0].token  # greedy
        assert one.top_logprobs[0].logprob >= one.top_logprobs[1].logprob
    chunks = list(chat(client, logprobs=True, max_tokens=3, stream=True))
    streamed = [e for c in chunks if c.choices and c.choices[0].logprobs
                for e in c.choices[0].logprobs.content]
    assert len(streamed) == 3


def test_structured_output(client):
    done = chat(client, response_format={"type": "json_schema", "json_schema": {
        "name": "thing", "strict": True, "schema": SCHEMA}}, max_tokens=60)
    found = json.loads(done.choices[0].message.content)
    assert found["color"] in ("red", "green") and 0 <= found["count"] <= 9
    cut = chat(client, response_format={"type": "json_schema", "json_schema": {
        "name": "thing", "schema": SCHEMA}}, max_tokens=2)
    assert cut.choices[0].finish_reason == "length"


def test_a_tool_is_called_and_its_result_read(client):
    asked = [{"role": "user", "content": "What is the weather in Paris?"}]
    done = chat(client, asked, tools=[WEATHER], tool_choice="required", max_tokens=80).choices[0]
    assert done.finish_reason == "tool_calls" and done.message.content is None
    call = done.message.tool_calls[0]
    assert call.function.name == "get_weather" and "city" in json.loads(call.function.arguments)
    asked += [done.message, {"role": "tool", "tool_call_id": call.id, "content": "sunny, 21 C"}]
    answer = chat(client, asked, tools=[WEATHER], tool_choice="none").choices[0]
    assert answer.message.content and not answer.message.tool_calls


def test_a_tool_call_in_a_stream(client):
    named = {"type": "function", "function": {"name": "get_weather"}}
    chunks = list(chat(client, [{"role": "user", "content": "Weather in Rome?"}], tools=[WEATHER],
                       tool_choice=named, max_tokens=80, stream=True))
    calls = [t for c in chunks if c.choices for t in c.choices[0].delta.tool_calls or []]
    assert len(calls) == 1 and calls[0].function.name == "get_weather"
    assert "city" in json.loads(calls[0].function.arguments)
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


def test_the_model_may_call_or_answer(client):
    done = chat(client, [{"role": "user", "content": "Say yes."}], tools=[WEATHER],
                max_tokens=80).choices[0]
    assert done.finish_reason in ("tool_calls", "stop", "length")


def test_completions(client):
    one = client.completions.create(model="small", prompt="Once upon a", max_tokens=4,
                                    temperature=0, echo=True)
    assert one.object == "text_completion" and one.choices[0].text.startswith("Once upon a")
    many = client.completions.create(model="small", prompt=["One", "Two"], n=2, max_tokens=2,
                                     logprobs=2)
    assert [c.index for c in many.choices] == [0, 1, 2, 3]
    assert len(many.choices[0].logprobs.tokens) == 2
    chunks = list(client.completions.create(model="small", prompt="Once upon a", max_tokens=4,
                                            temperature=0, stream=True))
    assert "".join(c.choices[0].text for c in chunks)
    assert chunks[-1].choices[0].finish_reason in ("length", "stop")
    default = client.completions.create(model="small", prompt="1 2 3 4", temperature=0)
    assert default.usage.completion_tokens <= 16


def test_embeddings(client):
    packed = client.embeddings.create(model="small", input=["a cat", "a dog"])  # asks for base 64
    plain = client.embeddings.create(model="small", input="a cat", encoding_format="float")
    assert len(packed.data) == 2 and packed.usage.prompt_tokens > 1
    vector = packed.data[0].embedding
    assert abs(sum(x * x for x in vector) - 1) < 1e-3
    assert max(abs(a - b) for a, b in zip(vector, plain.data[0].embedding)) < 1e-4


def test_models(client):
    assert [model.id for model in client.models.list()] == ["small"]
    assert client.models.retrieve("small").owned_by == "sluice"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("large")


def test_what_the_client_knows_of_its_program(client):
    done = chat(client, extra_body={"priority": 2, "sluice": {
        "program": "p1", "rank": 2, "deadline_ms": 60000, "expected_tokens": 4, "returns": True,
        "next_tool": "search", "policies": {"order": "deadline"}}}, prompt_cache_key="k", user="u")
    assert done.choices[0].message.content
    exact = [chat(client, extra_body={"sluice": {"deterministic": True}}).choices[0].message.content
             for _ in range(2)]
    assert exact[0] == exact[1]


@pytest.mark.parametrize("wrong, error, param", [
    ({"model": "gpt-9"}, openai.NotFoundError, "model"),
    ({"temperature": 3}, openai.BadRequestError, "temperature"),
    ({"logit_bias": {"5": 1}}, openai.BadRequestError, "logit_bias"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
     openai.BadRequestError, "messages[0].content[0].type"),
    ({"extra_body": {"temprature": 1}}, openai.BadRequestError, "temprature"),
    ({"response_format": {"type": "json_schema", "json_schema": {
        "name": "x", "strict": True, "schema": {"type": "nonsense"}}}}, openai.BadRequestError,
     "response_format.json_schema.schema"),
])
def test_mistakes_are_named(client, wrong, error, param):
    with pytest.raises(error) as raised:
        chat(client, **wrong)
    assert raised.value.param == param and raised.value.message


@pytest.mark.parametrize("stream", [False, True])
def test_a_prompt_of_a_megabyte(client, stream):
    with pytest.raises(openai.BadRequestError) as raised:
        chat(client, [{"role": "user", "content": "word " * 200_000}], stream=stream)
    assert raised.value.code == "context_length_exceeded"
    assert re.search(r"\d{4,} tokens.* 1024", raised.value.message)


def test_many_at_once(server):
    async def ask(client, number):
        done = await client.chat.completions.create(
            model="default", max_tokens=3, messages=[{"role": "user", "content": f"Number {number}"}])
        return done.choices[0].message.content

    async def all_of_them():
        async with openai.AsyncOpenAI(base_url=server.url, api_key="none", timeout=120) as client:
            return await asyncio.gather(*(ask(client, i) for i in range(24)))

    assert len(asyncio.run(all_of_them())) == 24


def test_a_model_of_another_server(server, endpoint, tmp_path):
    """What `--model URL` names is served like one in this process."""
    endpoint.script = [endpoint.says("from afar")]
    near = Served(tmp_path, "--model", f"far={endpoint.url}#big", "--model",
                  f"small={server.url}#small")
    try:
        client = near.client()
        assert chat(client, model="far").choices[0].message.content == "from afar"
        assert endpoint.requests[0][2]["model"] == "big"
        streamed = list(chat(client, stream=True))  # through both servers
        assert "".join(c.choices[0].delta.content or "" for c in streamed if c.choices)
        with pytest.raises(openai.BadRequestError) as raised:
            chat(client, [{"role": "user", "content": "word " * 5000}])
        assert raised.value.code == "context_length_exceeded"
        assert [m.id for m in client.models.list()] == ["far", "small"]
    finally:
        near.close()


def test_metrics_and_health(server):
    assert json.loads(server.ask("GET", "/health")[2]) == {"status": "ok"}
    assert server.metric("sluice_completion_tokens_total") > 0
    assert server.metric("sluice_decode_tokens_total") > 0
    assert server.metric("sluice_time_to_first_token_seconds_count") > 0
