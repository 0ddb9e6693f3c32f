"""How the peers ask: one request at a time through a gate of so many in flight, with an account of calls
and tokens, and of what was answered to which words."""

import json

import http_client
import questions
import tight_grammar
from gate import Gate

IN_FLIGHT = 16
TIGHT = ("expert", "staged")  # sides whose JSON has no needless blanks


class AskFailed(Exception):
    """An answer that did not come, broke off or is not what the schema asks for."""


class Asker:
    def __init__(self, port, in_flight=IN_FLIGHT, tight=False):
        """`tight`: JSON without blanks, by a grammar instead of a schema."""
        self.tight = tight
        self.client = http_client.Client(port)
        self.in_flight = in_flight
        self.gate = Gate(in_flight)
        self.answers = []
        self.asked = []  # (question, inputs, text), of what was answered

    async def open(self):
        """Takes the server's name for its model, as every program states one."""
        self.client.extra["model"] = await http_client.model_name(self.client.port)
        return self

    async def ask(self, name, inputs, group=None):
        """The answer to a question of questions.py: text, or what its JSON says."""
        question = questions.QUESTIONS[name]
        async with self.gate.place(group):
            answer = await self.client.chat(question.messages(inputs), question.max_tokens, name,
                                            stream=False, fields=fields_of(question, self.tight))
        self.answers.append(answer)
        if answer.error:
            raise AskFailed(f"{name}: {answer.error}")
        said = answer.text if question.schema is None else self.value(name, answer)
        self.asked.append((name, inputs, answer.text))
        return said

    @staticmethod
    def value(name, answer):
        """What its JSON says."""
        if answer.finish == "length":
            answer.error = f"{name}: cut off by max_tokens"
            raise AskFailed(answer.error)
        try:
            return json.loads(answer.text)
        except ValueError as error:
            answer.error = f"{name}: {error}: {answer.text[:120]}"
            raise AskFailed(answer.error)

    def account(self):
        good = [answer for answer in self.answers if not answer.error]
        return {"calls": len(self.answers), "failed_calls": len(self.answers) - len(good),
                "errors": [answer.error for answer in self.answers if answer.error][:3],
                "prompt_tokens": sum(answer.prompt_tokens for answer in good),
                "cached_tokens": sum(answer.cached_tokens for answer in good),
                "output_tokens": sum(answer.completion_tokens for answer in good),
                "calls_by_question": count(answer.kind for answer in self.answers)}


def fields_of(question, tight):
    if tight and question.schema is not None:
        return {"grammar": tight_grammar.of_schema(question.schema)}
    return question.fields


def count(names):
    out = {}
    for name in names:
        out[name] = out.get(name, 0) + 1
    return out
