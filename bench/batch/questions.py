"""The words of the three pipelines as Python programs send them. The plans beside this file say the same
words in the plan language; same_prompts.py compares what really goes out."""

import dataclasses

SINCE = "2022-10-01"  # of triage's exact filter: about half of the entries are younger


@dataclasses.dataclass(frozen=True)
class Question:
    """One question to the model; `messages` makes its messages from the inputs."""
    name: str
    messages: object
    max_tokens: int
    schema: dict | None = None  # of the answer; None: free text

    @property
    def fields(self):
        """What the request's body holds beside messages and sampling."""
        if self.schema is None:
            return {}
        return {"response_format": {"type": "json_schema", "json_schema": {
            "name": "output", "strict": True, "schema": self.schema}}}


def system(text):
    return {"role": "system", "content": text}


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


def shown(instruction, examples, asked):
    """An instruction, questions with their answers, and the question itself."""
    messages = [system(instruction)]
    for question, answer in examples:
        messages += [user(question), assistant(answer)]
    return [*messages, user(asked)]


def closed(**properties):
    return {"type": "object", "required": list(properties), "additionalProperties": False,
            "properties": properties}


YES_OR_NO = {"type": "string", "enum": ["yes", "no"]}


# (a) triage of change-log entries.

def entry_of(row):
    return f"{row['source']} {row['version']}: {row['text']}"


def about_entry(instruction):
    return lambda row: [user(f"{entry_of(row)}\n\n{instruction}")]


ADVICE = closed(area={"type": "string", "enum": ["library", "program", "service", "packaging"]},
                update={"type": "string", "enum": ["now", "soon", "later"]},
                reason={"type": "string", "minLength": 3, "maxLength": 60})


# (b) documents: the text stands first, the question behind it.

def about(instruction):
    return lambda row: [user(f"{row['text']}\n\n{instruction}")]


KIND = closed(kind={"type": "string",
                    "enum": ["licence", "change log", "manual", "announcement", "other"]})
TOPIC = closed(topic={"type": "string", "minLength": 3, "maxLength": 60})
NAMES = closed(names={"type": "array", "minItems": 1, "maxItems": 3,
                      "items": {"type": "string", "minLength": 2, "maxLength": 30}})
READER = closed(reader={"type": "string",
                        "enum": ["user", "administrator", "developer", "lawyer"]},
                why={"type": "string", "minLength": 3, "maxLength": 60})


# (c) look-ups.

LOOKUP_NAMES = closed(names={"type": "array", "minItems": 1, "maxItems": 5,
                             "items": {"type": "string", "minLength": 2, "maxLength": 40}})
ANSWER = closed(answer={"type": "string", "minLength": 1, "maxLength": 40})
LOOKUP_SQL = "select name, text from passage where name = ? collate nocase"
NOTHING_KNOWN = "nothing is known"


def names(row):
    return shown(
        "Which things does the question ask about? Give their names as JSON.",
        [("If the Eiffel Tower grew by 10% and Big Ben by 20%, which one would be taller?",
          '{"names": ["Eiffel Tower", "Big Ben"]}'),
         ("What is the largest ratio among the lengths of the Rhine, the Elbe and the Danube?",
          '{"names": ["Rhine", "Elbe", "Danube"]}')],
        row["question"])


def fact(inputs):
    return [user(f"Notes about {inputs['name']}: {inputs['notes']}\n"
                 f"Question: {inputs['question']}\n"
                 f"Say in one short sentence what matters about {inputs['name']} for the question.")]


def answer(inputs):
    facts = "\n".join(inputs["facts"])
    return [user(f"Question: {inputs['question']}\n"
                 f"Facts:\n{facts}\n"
                 "Give the answer as JSON: one name or one number.")]


QUESTIONS = {question.name: question for question in [
    Question("security", about_entry("Does this change fix a security problem? Answer yes or no."),
             32, YES_OR_NO),
    Question("program", about_entry("Was the program itself changed, and not only its packaging? "
                                    "Answer yes or no."), 32, YES_OR_NO),
    Question("summary", about_entry("Say in one short sentence what changed."), 40),
    Question("advice", about_entry("Which area is this change about, when to update and why? Answer as "
                                   "JSON with the fields area, update and reason."), 128, ADVICE),
    Question("kind", about("What kind of document is this? Answer as JSON with the field kind."),
             64, KIND),
    Question("topic", about("What is this text about? Answer as JSON with the field topic, in a few "
                            "words."), 128, TOPIC),
    Question("people", about("Which names stand in this text? Answer as JSON with the field names, "
                             "at most three."), 128, NAMES),
    Question("reader", about("For whom was this written? Answer as JSON with the fields reader and "
                             "why."), 128, READER),
    Question("names", names, 160, LOOKUP_NAMES),
    Question("fact", fact, 40),
    Question("answer", answer, 64, ANSWER),
]}
PIPELINES = {"triage": ["security", "program", "summary", "advice"],
             "documents": ["kind", "topic", "people", "reader"],
             "lookup": ["names", "fact", "answer"]}
