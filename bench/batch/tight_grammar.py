"""A JSON Schema as a grammar for llama-server that has one blank behind a colon and a comma, as our engine
writes JSON, and no other between its parts. The one that the
server makes of `response_format` lets the model write blanks and line ends there, and small models do; an
expert who counts tokens writes his own. Only what the schemas of questions.py hold: closed objects, enums,
strings and arrays with bounds."""

import json

CHARACTER = r'''[^"\\\x7F\x00-\x1F] | "\\" (["\\bfnrt] | "u" [0-9a-fA-F]{4})'''


def quoted(text):
    return json.dumps(text)  # GBNF's strings escape as JSON's do, for what stands here


def rule(schema):
    if "enum" in schema:
        return "(" + " | ".join(quoted(json.dumps(value)) for value in schema["enum"]) + ")"
    if schema["type"] == "string":
        return f'"\\"" char{{{schema.get("minLength", 0)},{schema["maxLength"]}}} "\\""'
    if schema["type"] == "array":
        item = rule(schema["items"])
        least, most = schema["minItems"] - 1, schema["maxItems"] - 1
        return f'"[" {item} (", " {item}){{{least},{most}}} "]"'
    assert schema["type"] == "object" and not schema["additionalProperties"], schema
    members = [f'{quoted(json.dumps(name) + ": ")} {rule(member)}'
               for name, member in schema["properties"].items()]
    return '"{" ' + ' ", " '.join(members) + ' "}"'


def of_schema(schema):
    return f"root ::= {rule(schema)}\nchar ::= {CHARACTER}\n"
