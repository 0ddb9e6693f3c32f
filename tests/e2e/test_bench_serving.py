"""What bench/serving asks, counts and judges; no server runs."""

import asyncio

import pytest

from bench_modules import bench_modules

MODULES = ["agree", "bound", "http_client", "settings", "trace_replay", "turns", "workloads"]


@pytest.fixture(scope="module")
def bench():
    with bench_modules("serving", MODULES) as modules:
        yield modules


class Asked:
    """Stands for a server: remembers what it is asked and has what it has seen before cached."""

    def __init__(self, bench, seen=None, always_cached=0):
        self.bench = bench
        self.seen = [] if seen is None else seen
        self.always_cached = always_cached

    def of_tenant(self, tenant):
        return Asked(self.bench, self.seen, self.always_cached)

    async def chat(self, messages, max_tokens, kind, tenant="", name="", **_):
        await asyncio.sleep(0.001)
        text = messages[-1]["content"]
        cached = 250 if text in self.seen else self.always_cached
        self.seen.append(text)
        return self.bench.http_client.Answer(
            kind, tenant, name, prompt_tokens=280, cached_tokens=cached,
            completion_tokens=max_tokens, finish="length")


@pytest.fixture
def small(bench):
    return bench.workloads.Size(in_flight=2, count=6, prompt_tokens=60, max_tokens=4, overload=(4, 8))


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    slept = asyncio.sleep
    monkeypatch.setattr(asyncio, "sleep", lambda seconds: slept(min(seconds, 0.005)))


def test_no_phase_of_fair_asks_what_another_asked(bench, small):
    client = Asked(bench)
    outcome = asyncio.run(bench.workloads.fair(client, small))
    assert len(set(client.seen)) == len(client.seen) == len(outcome.answers)
    assert len(outcome.facts["alone"]) == len(outcome.facts["beside"]) == small.count


def test_fair_ends_where_its_prompts_are_cached(bench, small):
    with pytest.raises(SystemExit, match="cached"):
        asyncio.run(bench.workloads.fair(Asked(bench, always_cached=65), small))
    asyncio.run(bench.workloads.fair(Asked(bench, always_cached=bench.workloads.CACHED_AT_MOST), small))


def test_service_is_of_computed_tokens(bench):
    answer = bench.http_client.Answer("x", first_s=1.0, prompt_tokens=100, cached_tokens=90,
                                      completion_tokens=4, token_times=[1.0, 2.0])
    assert bench.workloads.service([answer], 0.5) == 0
    assert bench.workloads.service([answer], 1.5) == 10 + 2 * 4 / 2
    assert bench.workloads.service([answer], 2.5) == 10 + 2 * 4


def test_the_bound_computes_each_token_once(bench, small):
    rates = bench.bound.Rates([(1000, 10.0)], {1: [(0, 1.0)], 4: [(0, 2.0)]})
    answers = [bench.http_client.Answer("x", name=f"{bench.workloads.OVERLOAD} {number}",
                                        prompt_tokens=150, cached_tokens=50 if number else 0,
                                        completion_tokens=8) for number in range(4)]
    assert bench.bound.common_tokens(answers) == 50
    # 50 once and 4 x 100 behind it at 0.01 s; 32 tokens four at a time in steps of 2 s.
    assert bench.bound.apart_s(rates, answers, 4) == pytest.approx(0.5 + 4 + 8 * 2)
    # Half of them forced: computed like a prompt.
    assert bench.bound.apart_s(rates, answers, 4, 0.5) == pytest.approx(0.5 + 4 + 4 * 2 + 16 * 0.01)
    assert bench.bound.row_s("trace", rates, small, answers) is None
    for row in set(bench.settings.SIZES) - {"trace"}:
        assert bench.bound.row_s(row, rates, bench.settings.SIZES[row], answers) > 0


def test_lengths_of_a_trace_are_divided(bench):
    def words_at(scale):
        request = {"input_length": 100 * 512, "hash_ids": list(range(100))}
        return len(bench.trace_replay.prompt_of(request, scale)[0]["content"].split())
    assert words_at(64) == pytest.approx(words_at(32) / 2, rel=0.05)
    one, other = ({"input_length": 8 * 512, "hash_ids": ids}
                  for ids in (list(range(8)), [*range(6), 60, 70]))
    first, second = (bench.trace_replay.prompt_of(request, 32)[0]["content"]
                     for request in (one, other))
    assert first != second and first.split(".")[:6] == second.split(".")[:6]


def entry(token, logprob, **others):
    tops = {token: logprob, **others}
    return {"token": token, "logprob": logprob, "bytes": list(token.encode()),
            "top_logprobs": [{"token": text, "logprob": value, "bytes": list(text.encode())}
                             for text, value in sorted(tops.items(), key=lambda top: -top[1])]}


def test_answers_part_by_a_lead(bench):
    same = [entry("The", -0.1, A=-3.0), entry("cat", -0.5, dog=-0.75)]
    assert bench.agree.parting(0, same, same) is None
    ours = [entry("The", -0.1, A=-3.0), entry("dog", -0.5, cat=-0.6)]
    one = bench.agree.parting(0, same, ours)
    assert (one.at, one.peer, one.ours) == (1, "cat", "dog")
    assert one.peer_lead == pytest.approx(0.25) and one.our_lead == pytest.approx(0.1)
    # One that ends earlier: the other's next token led the end, or the last one known.
    assert bench.agree.parting(0, same, same[:1]).lead == pytest.approx(0.25)
    assert bench.agree.compare([same, same], [same, ours])[0] == 1
    assert bench.agree.parting(0, same, [entry("Quite", -0.1)]).lead > max(bench.agree.BARS.values())


def test_the_peers_best_setting_is_one_without_failures(bench):
    good, slow = [{"wall s": 10.0, "failed": 0}], [{"wall s": 11.0, "failed": 0}]
    failing = [{"wall s": 2.0, "failed": 3}]
    costs = [bench.turns.cost_of("docs", runs) for runs in (good, slow, failing)]
    assert costs[0] < costs[1] < costs[2]
    many, few = [{"objects/s": 3.0, "failed": 0}], [{"objects/s": 2.0, "failed": 0}]
    assert bench.turns.cost_of("objects", many) < bench.turns.cost_of("objects", few)
    runs = {"a": good, "b": slow, "c": failing}
    assert [bench.turns.is_near("docs", runs, peer) for peer in runs] == [True, True, False]
