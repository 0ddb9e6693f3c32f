"""bench/batch judges others, so what it computes is tested: whose answer is whose, what counts as a tie,
which peer the bar is against, what is kept of a bench that was broken off."""

import asyncio
import importlib
import json
import pathlib
import sys
import types

import pytest

from conftest import BINARY, ROOT, environment

MODULES = ["answers", "expert_peer", "gate", "kept", "ours", "questions", "report", "staged_peer", "ties"]


@pytest.fixture(scope="module")
def bench():
    """The bench's modules; names as common as theirs are another bench's too, so they go again."""
    before, folders = set(sys.modules), [str(ROOT / "bench/batch"), str(ROOT / "bench/llama_peer")]
    sys.path[:0] = folders
    yield types.SimpleNamespace(**{name: importlib.import_module(name) for name in MODULES})
    for folder in folders:
        sys.path.remove(folder)
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(ROOT / "bench")):
            del sys.modules[name]


def entry(number, day="2023-05-01", package=None):
    return {"package": package or f"p{number}", "source": f"s{number}", "version": "1", "day": day,
            "text": f"entry {number}"}


ROWS = [entry(0), entry(1), entry(2, "2020-01-01"), entry(3), entry(1, package="other"), entry(4)]


def scripted(words, number):
    """Yes to entries but the third; a sentence that names the entry."""
    if "security" in words:
        return json.dumps("no" if number == "3" else "yes")
    if "itself" in words:
        return json.dumps("yes")
    if "sentence" in words:
        return f"about {number}"
    return json.dumps({"area": "library", "update": "now", "reason": f"reason {number}"})


def answer_to(body, endpoint):
    words = body["messages"][-1]["content"]
    return endpoint.says(scripted(words, words.split("entry ")[1].split("\n")[0]))(body)


@pytest.mark.parametrize("more", [(), ("--no-optimize",)])
def test_our_answers_are_told_with_their_words(bench, endpoint, tmp_path, more):
    endpoint.script = [lambda body: answer_to(body, endpoint)]
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    steps = bench.questions.PIPELINES["triage"]
    command = bench.ours.batch_command(BINARY, "triage", rows, tmp_path, f"{endpoint.url}#m", more)
    numbers = bench.ours.batch_rows(command, environment(), steps)
    assert "answers" in numbers, numbers.get("answers_why")
    found = bench.answers.with_words(numbers["answers"], ROWS)
    asked = 0
    for row in ROWS:
        for name in steps:
            one = found.get(bench.answers.key_of(name, row))
            if one:
                asked += 1
                words = bench.questions.QUESTIONS[name].messages(row)[-1]["content"]
                assert one.text == scripted(words, row["source"][1:])
    # All four of three entries that are kept, and at least one condition of the one that is not; the
    # equal row's answers are found by the same words.
    assert len(found) >= 13 and asked >= 17


def test_frames_are_those_of_journals(bench):
    assert bench.answers.rows_of_frames({bench.answers.frame_of(2, 5)}, 6)[bench.answers.frame_of(2, 5)] == 5
    assert bench.answers.rows_of_frames({"0000000000000001"}, 6) == {}


class Scripted:
    """An asker without a server, of as many places as it says."""

    def __init__(self, in_flight, fails=()):
        self.in_flight, self.fails, self.asked, self.open, self.most = in_flight, fails, [], 0, 0

    async def ask(self, name, inputs, group=None):
        from asking import AskFailed
        self.asked.append((name, json.dumps(inputs, sort_keys=True)))
        self.open += 1
        self.most = max(self.most, self.open)
        await asyncio.sleep(0)
        self.open -= 1
        if (name, inputs.get("source")) in self.fails or (name, inputs.get("name")) in self.fails:
            raise AskFailed(f"{name}: failed")
        if name == "names":
            return {"names": inputs["question"].split()}
        if name == "fact":
            return f"{inputs['name']} in {inputs['question']}: {inputs['notes']}"
        if name == "answer":
            return {"answer": " ".join(inputs["facts"])}
        said = scripted(name if name == "security" else "itself" if name == "program" else
                        "sentence" if name == "summary" else "advice", inputs["source"][1:])
        return said if name == "summary" else json.loads(said)


class Notes:
    def notes(self, name):
        return f"notes of {name}"


@pytest.mark.parametrize("pipeline, rows, failing", [
    ("triage", ROWS, ()), ("triage", ROWS, [("summary", "s1")]),
    ("lookup", [{"question": "a b"}, {"question": "b c b"}, {"question": "a b"}], ()),
    ("lookup", [{"question": "a b"}, {"question": "c"}], [("fact", "b")])])
def test_the_expert_gets_the_same_row_by_row_and_in_stages(bench, pipeline, rows, failing):
    found = []
    for side in (bench.expert_peer, bench.staged_peer):
        asker = Scripted(2, failing)
        results, failed = asyncio.run(getattr(side, pipeline)(asker, rows, Notes()))
        found.append((results, sorted(index for index, _ in failed)))
        assert len(asker.asked) == len(set(asker.asked)), "nothing is asked twice"
        if pipeline == "triage" and side is bench.expert_peer:
            assert asker.most == 2
    assert found[0] == found[1]
    assert any(found[0][0]) and bool(found[0][1]) == bool(failing)


def test_a_place_goes_to_the_group_that_ended_then_to_the_oldest(bench):
    async def scene():
        gate, order = bench.gate.Gate(1), []

        async def one(name, group):
            async with gate.place(group):
                order.append(name)
                await asyncio.sleep(0)
        await asyncio.gather(one("a1", "a"), one("b1", "b"), one("a2", "a"), one("c", None),
                             one("b2", "b"))
        assert gate.free == 1
        return order
    assert asyncio.run(scene()) == ["a1", "a2", "b1", "b2", "c"]


def token(text, probability=-0.1, **others):
    top = {text: probability, **others}
    return {"bytes": list(text.encode()), "logprob": probability, "top_logprobs": [
        {"bytes": list(word.encode()), "logprob": value} for word, value in top.items()]}


def differing(bench, ours, theirs, question="summary"):
    return bench.ties.Difference(question, {}, ours, theirs)


def test_a_lead_is_taken_where_the_texts_part(bench):
    way = [token("A", -0.1, The=-0.2), token(" bug", -0.5, **{" fix": -0.6, " f": -0.55}), token(".")]
    lead = bench.ties.on_its_way(way, differing(bench, "A fix.", "A bug."))
    # " f" is also on the way to our text, and leads the longer token.
    assert (lead.ours, lead.theirs, lead.taken) == (-0.55, -0.5, -0.5)
    assert lead.size == pytest.approx(0.05) and bench.ties.kind_of(False, lead, None) == "tie"
    far = bench.ties.on_its_way([token("A"), token(" bug", -0.1, **{" fix": -2.0})],
                                differing(bench, "A fix.", "A bug."))
    assert bench.ties.kind_of(False, far, None) == "other"


def test_an_end_is_a_token_too(bench):
    way = [token("Done"), {"bytes": [], "logprob": -0.4, "top_logprobs": [
        {"bytes": [], "logprob": -0.4}, {"bytes": list(b"."), "logprob": -0.5}]}]
    lead = bench.ties.on_its_way(way, differing(bench, "Done.", "Done"))
    assert (lead.ours, lead.theirs) == (-0.5, -0.4)


def test_what_is_not_among_the_probable_ones_is_below_them(bench):
    lead = bench.ties.on_its_way([token("x", -0.1, y=-3.0)], differing(bench, "z", "x"))
    assert lead.ours == -3.0 and bench.ties.kind_of(False, lead, None) == "other"


def test_an_answer_that_leaves_both_says_nothing_of_their_parting(bench):
    assert bench.ties.on_its_way([token("Some"), token("thing")],
                                 differing(bench, "A fix.", "A bug.")) is None
    assert bench.ties.on_its_way([token("A")], differing(bench, "A fix.", "A bug.")) is None


def test_json_behind_other_tokens_needs_both_sides_to_have_followed_theirs(bench):
    lead = bench.ties.Lead
    there = lead(ours=-3.0, theirs=-0.1, taken=-0.1, before=(b"{", b'"a'))
    here = lead(ours=-0.2, theirs=-2.0, taken=-0.2, before=(b'{"', b"a"))
    assert bench.ties.kind_of(True, there, here) == "tokens"
    assert bench.ties.kind_of(False, there, here) == "other"
    # Ours took what does not lead behind its own tokens; the tokens are the same on both sides.
    assert bench.ties.kind_of(True, there, lead(-2.0, -0.2, -0.2, here.before)) == "other"
    assert bench.ties.kind_of(True, there, lead(-0.2, -2.0, -0.2, there.before)) == "other"


def test_blanks_between_parts_of_json_are_told_from_other_values(bench):
    asked = {key: bench.answers.Asked("kind", {}, '{"kind": "licence"}') for key in "abcd"}
    asked["e"] = bench.answers.Asked("summary", {}, "text")
    alike, found, blanks = bench.ties.compare(asked, {
        "a": '{"kind":\n "licence"}', "b": '{\n"kind": "other"}', "c": '{"kind": "other"}',
        "e": "tent", "f": "asked there only"})
    assert (alike, blanks) == (1, 1)
    assert [(one.question, one.theirs) for one in found] == [("kind", '{"kind": "other"}'),
                                                             ("summary", "tent")]


def of_sides(**seconds):
    return {"pipeline": "lookup", "names": {}, "runs": {
        side: [{"wall_s": one} for one in found] for side, found in seconds.items()}}


def test_the_bar_is_against_the_fastest_peer_of_each_round(bench):
    line = of_sides(**{"async": [15.0], "expert": [17.0, 14.0, 16.0], "sluice": [10.0, 10.0, 12.0],
                       "written": [5.0]})
    assert bench.report.best_peers(line) == [("async", 15.0, 10.0), ("expert", 14.0, 10.0),
                                             ("async", 15.0, 12.0)]
    assert bench.report.best_peers(of_sides(sluice=[1.0])) == []


def keeping(bench, path, resume, said, **identity):
    return bench.kept.Kept(path, resume, {"commit": "c", "model_sha256": "m", **identity},
                           {"dirty": False}, said.append)


def a_line(rows="r"):
    return {"pipeline": "triage", "rows": {"sha256": rows}, "peer": "-np 8", "names": {}, "runs": {}}


def test_a_bench_goes_on_with_runs_of_the_same_things_only(bench, tmp_path):
    path, said = tmp_path / "b.json", []
    first = keeping(bench, path, True, said)
    first.line(a_line())["runs"]["async"] = [{"wall_s": 1.0}]
    first.write()
    again = keeping(bench, path, True, said)
    assert again.line(a_line())["runs"] == {"async": [{"wall_s": 1.0}]}
    assert keeping(bench, path, True, said).line(a_line("other"))["runs"] == {}
    assert keeping(bench, path, False, said).line(a_line())["runs"] == {}
    assert not said
    assert keeping(bench, path, True, said, commit="d").line(a_line())["runs"] == {}
    assert "commit" in said[0] and json.loads(pathlib.Path(f"{path}.before").read_text())["lines"]


def test_another_cut_of_the_same_text_is_found_where_it_is_a_tie(bench):
    def cut(number, text, probability, *others):
        top = [(number, text, probability), *others]
        return {"id": number, "bytes": list(text.encode()), "logprob": probability, "top_logprobs": [
            {"id": one, "bytes": list(word.encode()), "logprob": value} for one, word, value in top]}
    tokens = [cut(1, '{"', -0.3, (2, "{", -0.35), (3, "[", -0.3)), cut(4, "a", -0.1, (5, "ab", -2.0)),
              cut(6, "bc", -0.1, (7, "b", -0.2))]
    difference = differing(bench, '{"abd', '{"abc', "kind")
    # Neither what is no beginning of the text nor what is far behind.
    assert [(numbers, size) for _, numbers, size in bench.ties.other_cuts(tokens, difference)] == [
        ([2], 1), ([1, 4, 7], 4)]
