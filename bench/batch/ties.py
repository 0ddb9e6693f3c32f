"""Is a difference between two sides' texts a tie? At the first token at which they part, llama-server is
asked, one request at a time and with nothing taken from earlier prompts, how probable the two ways to go
on are. A greedy side takes the most probable token, and sums of floating-point numbers depend on what
else is in the batch, so near ties fall either way; a difference at which one token led far is something
else and is reported as such.

Two ways to ask:
- llama-server answers the question once more, with probabilities: its own tokens up to where the two
  texts part;
- the text that the two share is put into tokens as the tokenizer does, and one token is asked for. So are
  the fixed parts of our JSON (what a schema forces is appended without asking the model), while on
  llama-server the model chooses how to cut them.
A JSON answer of which each side took what leads behind its own tokens is no tie: it is counted apart.
Where two ways to cut the shared text are themselves a tie, the other one is followed too.

No grammar changes which of two tokens that it allows leads, and by how much."""

import dataclasses
import json
import statistics

import http_client
import questions
from asking import fields_of
from figures import common_start

TIE = 0.3     # lead in log probability: one token is at most 1.35 times as probable as the other
MOST = 40     # differences looked into
PROBED = 200  # tokens whose probabilities are asked for
CUTS = 3      # other ways to cut a text into tokens that are followed, those of the smallest lead
KINDS = {"tie": "ties", "tokens": "JSON behind other tokens", "other": "others"}


@dataclasses.dataclass(frozen=True)
class Difference:
    """One question that both sides asked with the same words, and answered otherwise."""
    question: str
    inputs: dict
    ours: str
    theirs: str

    @property
    def parts_at(self):
        """In bytes: tokens may end inside of a character."""
        return common_start(self.ours.encode(), self.theirs.encode())


@dataclasses.dataclass(frozen=True)
class Lead:
    """Log probabilities at a place: of the best token on the way to each text, and of the one that was
    taken there. `before`: the tokens up to there."""
    ours: float
    theirs: float
    taken: float
    before: tuple

    @property
    def size(self):
        return self.taken - min(self.ours, self.theirs)


def compare(mine, theirs):
    """(alike, [Difference], blanks) of {key: Asked} and {key: text}. `blanks`: differences in JSON whose
    texts part first in a blank or a line end between its parts, which our grammar does not have."""
    alike, found, blanks = 0, [], 0
    for key in sorted(set(mine) & set(theirs), key=lambda key: (mine[key].question, key)):
        asked, other = mine[key], theirs[key]
        plain = other
        if questions.QUESTIONS[asked.question].schema is not None:
            plain = json.dumps(json.loads(other), ensure_ascii=False)
        if asked.text == plain:
            alike += 1
        elif common_start(asked.text, other) < common_start(asked.text, plain):
            blanks += 1
        else:
            found.append(Difference(asked.question, asked.inputs, asked.text, other))
    return alike, found, blanks


def spread_over(found, most):
    """At most so many of them, as even over their order as may be."""
    count = min(most, len(found))
    return [found[at * len(found) // count] for at in range(count)]


def bytes_of(token):
    return bytes(token["bytes"])


def leads_to(piece, rest):
    """Is a token the beginning of what is left of a text? One without a text ends it."""
    return rest.startswith(piece) if piece else not rest


def lead_at(top, taken, start, difference, before):
    """`start`: bytes of the text before this token. What is not among `top` is below all of them."""
    lowest = min(token["logprob"] for token in top)

    def best(text):
        rest = text.encode()[start:]
        return max((token["logprob"] for token in top if leads_to(bytes_of(token), rest)),
                   default=lowest)
    return Lead(best(difference.ours), best(difference.theirs), taken, tuple(before))


def on_its_way(tokens, difference):
    """The lead at the token of llama-server's own answer at which the texts part; None where its answer
    leaves them before."""
    shared = difference.theirs.encode()[:difference.parts_at]
    start, before = 0, []
    for token in tokens:
        piece = bytes_of(token)
        if not (shared[start:].startswith(piece) or piece.startswith(shared[start:])):
            return None
        if start + len(piece) > len(shared) or (not piece and start == len(shared)):
            return lead_at(token["top_logprobs"], token["logprob"], start, difference, before)
        if not piece:
            return None
        start += len(piece)
        before.append(piece)
    return None


def other_cuts(tokens, difference):
    """[(lead, numbers of tokens, bytes of text)]: ways to cut the shared text into other tokens than those
    of llama-server's own answer, at places where the token taken led another one by no more than a tie."""
    shared = difference.theirs.encode()[:difference.parts_at]
    start, numbers, out = 0, [], []
    for token in tokens:
        for other in token["top_logprobs"]:
            piece, lead = bytes_of(other), token["logprob"] - other["logprob"]
            if other["id"] != token["id"] and piece and shared[start:].startswith(piece) and lead <= TIE:
                out.append((lead, [*numbers, other["id"]], start + len(piece)))
        piece = bytes_of(token)
        if not piece or not shared[start:].startswith(piece):
            break
        numbers.append(token["id"])
        start += len(piece)
    return sorted(out)[:CUTS]


class Asking:
    """llama-server as it is asked about differences."""

    def __init__(self, port, model, tight):
        self.port = port
        self.model = model
        self.tight = tight

    async def post(self, path, body):
        status, answer = await http_client.post(self.port, path, json.dumps(body).encode())
        if status != 200:
            raise SystemExit(f"llama-server, {path}: {status} {answer[:300].decode(errors='replace')}")
        return json.loads(answer)

    async def answered(self, difference):
        """The tokens of its own answer, with probabilities."""
        question = questions.QUESTIONS[difference.question]
        reply = await self.post("/v1/chat/completions", {
            "model": self.model, "messages": question.messages(difference.inputs), "temperature": 0,
            "max_tokens": question.max_tokens, "logprobs": True, "top_logprobs": PROBED,
            **fields_of(question, self.tight)})
        return (reply["choices"][0].get("logprobs") or {}).get("content") or []

    async def tokens(self, text, special):
        """[(number, bytes)]"""
        reply = await self.post("/tokenize", {"content": text, "add_special": special,
                                              "parse_special": special, "with_pieces": True})
        return [(token["id"], token["piece"].encode() if isinstance(token["piece"], str)
                 else bytes(token["piece"])) for token in reply["tokens"]]

    async def prompt(self, difference):
        """The numbers of the tokens of its question."""
        messages = questions.QUESTIONS[difference.question].messages(difference.inputs)
        made = await self.post("/apply-template", {"messages": messages})
        return [number for number, _ in await self.tokens(made["prompt"], True)]

    async def next_token(self, numbers):
        """The most probable tokens behind these, the best first."""
        reply = await self.post("/completion", {"prompt": numbers, "n_predict": 1, "temperature": 0,
                                                "n_probs": PROBED})
        return reply["completion_probabilities"][0]["top_logprobs"]

    async def behind_text(self, difference):
        """The lead behind what the texts share, cut into tokens as the tokenizer does."""
        mine, other = (await self.tokens(difference.ours, False),
                       await self.tokens(difference.theirs, False))
        shared = mine[:common_start(mine, other)]
        top = await self.next_token(await self.prompt(difference) + [number for number, _ in shared])
        pieces = [piece for _, piece in shared]
        lead = lead_at(top, top[0]["logprob"], sum(map(len, pieces)), difference, pieces)
        if questions.QUESTIONS[difference.question].schema is None:
            return lead
        # The best token of all may be one that no grammar lets through.
        return dataclasses.replace(lead, taken=max(lead.ours, lead.theirs))

    async def behind_cut(self, difference, numbers, start):
        """The lead where the texts part, if the model goes on along the peer's text from these tokens,
        `start` bytes of it; None where it cannot."""
        theirs, prompt = difference.theirs.encode(), await self.prompt(difference)
        while True:
            top = await self.next_token(prompt + numbers)
            best = next((one for one in top if leads_to(bytes_of(one), theirs[start:])), None)
            if best is None:
                return None
            piece = bytes_of(best)
            if not piece or start + len(piece) > difference.parts_at:
                return lead_at(top, best["logprob"], start, difference, ())
            numbers = [*numbers, best["id"]]
            start += len(piece)

    async def tied_cut(self, difference, tokens):
        """The lead of a tie between two ways to cut the shared text, behind the other one of which the
        peer's way leads; None where there is none."""
        for lead, numbers, start in other_cuts(tokens, difference):
            behind = await self.behind_cut(difference, numbers, start)
            if behind and behind.theirs >= behind.ours - TIE:
                return lead
        return None


def kind_of(is_json, there, here):
    """tie, tokens or other. `there`: on llama-server's own way, or None; `here`: behind the tokenizer's
    tokens."""
    if (there or here).size <= TIE:
        return "tie"
    if is_json and there and there.before != here.before:
        if there.theirs >= there.ours - TIE and here.ours >= here.theirs - TIE:
            return "tokens"
    return "other"


async def look_at(asking, difference):
    """{question, kind, lead, ...} of a difference."""
    is_json = questions.QUESTIONS[difference.question].schema is not None
    tokens = await asking.answered(difference)
    there = on_its_way(tokens, difference)
    here = await asking.behind_text(difference) if is_json or not there else None
    lead = there or here
    kind, size, cut = kind_of(is_json, there, here), lead.size, None
    if kind == "other" and is_json:
        cut = await asking.tied_cut(difference, tokens)
        kind, size = ("other", size) if cut is None else ("tie", cut)
    return {"question": difference.question, "kind": kind, "lead": round(size, 4),
            "between_cuts": cut is not None, "ours_leads_by": round(lead.ours - lead.theirs, 4),
            "our_tokens_ours_leads_by": round(here.ours - here.theirs, 4) if here else None,
            "parts_at": difference.parts_at, "ours": difference.ours, "theirs": difference.theirs}


async def look_into(port, differences, tight):
    """What look_at() says of each, one after the other."""
    asking = Asking(port, await http_client.model_name(port), tight)
    return [await look_at(asking, difference) for difference in differences]


def summary(alike, found, blanks, looked):
    """What the report says; `looked`: of look_into()."""
    leads = [one["lead"] for one in looked if one["kind"] == "tie"]
    others = [one["lead"] for one in looked if one["kind"] == "other"]
    return {"asked_by_both": alike + len(found) + blanks, "alike": alike, "differ": len(found) + blanks,
            "blanks": blanks, "looked_into": len(looked), "tie_below": TIE,
            **{kind: sum(1 for one in looked if one["kind"] == kind) for kind in KINDS},
            "median_lead": statistics.median(leads) if leads else None,
            "highest_lead": max(leads, default=None),
            "others_our_way": sum(1 for one in looked
                                  if one["kind"] == "other" and one["ours_leads_by"] > 0),
            "other_leads": [min(others), statistics.median(others), max(others)] if others else None,
            "list": looked}


def words_of(found):
    """One line for the table."""
    start = (f"{found['asked_by_both']} questions asked by both with the same words, {found['alike']} "
             f"answered alike, {found['differ']} otherwise")
    if not found["differ"]:
        return start
    if not found["looked_into"]:
        return f"{start}; {found['blanks']} part in blanks between the parts of JSON"
    parts = [f"of {found['looked_into']} looked into {found['tie']} are ties below {found['tie_below']}"]
    if found["median_lead"] is not None:
        parts[0] += f" (median {found['median_lead']:.2f}, highest {found['highest_lead']:.2f})"
    parts += [f"{found[kind]} {KINDS[kind]}" for kind in ("tokens", "other")]
    if found["other_leads"]:
        parts[-1] += (" (led by {:.2f} to {:.2f}, median {:.2f}; ".format(
            *(found["other_leads"][at] for at in (0, 2, 1)))
            + f"{found['others_our_way']} of them our way)")
    if found["blanks"]:
        parts.append(f"{found['blanks']} more part in blanks between the parts of JSON")
    return start + "; " + ", ".join(parts)
