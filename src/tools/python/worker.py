R"py(#"
# The worker that runs code steps and python tools. One process, one call at a time; frames of
# length, kind and JSON over the pipes that were standard input and output. It is valid Python as
# it stands, and through its first and last line a C++ raw string as well (worker_script.h
# includes it), so that it travels inside the program.
import base64, importlib.machinery, inspect, json, os, struct, sys, types, typing

LENGTH = struct.Struct(">I")


class TooLarge(Exception):
    pass


class Channel:
    # The pipes get numbers of their own, and what user code prints goes to standard error: it can
    # never break the protocol. Neither descriptor is inherited by processes that user code starts.
    def __init__(self):
        self.input = os.dup(0)
        self.output = os.dup(1)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
        os.dup2(2, 1)
        self.buffer = b""

    def fill(self, size):
        if len(self.buffer) >= size:
            return
        parts, have = [self.buffer], len(self.buffer)
        while have < size:
            part = os.read(self.input, max(65536, size - have))
            if not part:
                os._exit(0)
            parts.append(part)
            have += len(part)
        self.buffer = b"".join(parts)

    def receive(self):
        self.fill(4)
        end = 4 + LENGTH.unpack_from(self.buffer)[0]
        self.fill(end)
        frame, self.buffer = self.buffer[4:end], self.buffer[end:]
        return json.loads(frame)

    def send(self, kind, payload):
        frame = LENGTH.pack(len(payload) + 1) + kind + payload
        sent = os.write(self.output, frame)
        while sent < len(frame):
            sent += os.write(self.output, frame[sent:])


class Writer:
    # JSON as Sluice wants it: no NaN, and bytes marked so that they come out as blobs.
    def __init__(self):
        self.has_bytes = False
        self.encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False,
                                        separators=(",", ":"), default=self.other)

    def other(self, value):
        if isinstance(value, (bytes, bytearray, memoryview)):
            self.has_bytes = True
            return {"$bytes": base64.b64encode(value).decode()}
        name = type(value).__name__
        advice = {"set": "; return sorted(...) or list(...)",
                  "frozenset": "; return sorted(...) or list(...)",
                  "datetime": "; return .isoformat()", "date": "; return .isoformat()",
                  "Decimal": "; return str(...) or float(...)",
                  "generator": "; wrap it in list(...)"}.get(name, "")
        raise TypeError(f"the result holds a {name}, which is not JSON{advice}")

    def write(self, value, limit):
        self.has_bytes = False
        try:
            payload = self.encoder.encode(value).encode()
        except UnicodeEncodeError:
            raise ValueError("the result holds text that is not Unicode (a lone surrogate)") from None
        except ValueError as error:
            if "JSON compliant" in str(error):
                raise ValueError("the result holds NaN or infinity, which JSON does not have; "
                                 "return None instead") from None
            raise
        if limit and len(payload) > limit:
            raise TooLarge(f"the result has {len(payload)} bytes, over the limit of {limit}; "
                           "return less, or raise max_bytes")
        return payload


def restore_bytes(value):
    if len(value) == 1 and "$bytes" in value:
        return base64.b64decode(value["$bytes"])
    return value


class Units:
    # Code texts, compiled once each and kept by number.
    def __init__(self):
        self.modules = {}

    def module(self, request):
        number = request["unit"]
        if number not in self.modules:
            self.modules[number] = self.load(number, request["text"], request["name"])
        return self.modules[number]

    @staticmethod
    def load(number, text, name):
        is_file = os.path.isabs(name)
        stem = os.path.splitext(os.path.basename(name))[0] if is_file else f"code_{number}"
        module = types.ModuleType(stem)
        module.__file__ = name
        if is_file:
            folder = os.path.dirname(name)
            if folder not in sys.path:
                sys.path.insert(0, folder)
            module.__spec__ = importlib.machinery.ModuleSpec(stem, None, origin=name)
        sys.modules[stem] = module
        exec(compile(text, name, "exec", dont_inherit=True), module.__dict__)
        return module


def line_in(error, name):
    if isinstance(error, SyntaxError) and error.filename == name:
        return error.lineno or 0
    line, trace = 0, error.__traceback__
    while trace:
        if trace.tb_frame.f_code.co_filename == name:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def error_payload(error, request):
    try:
        text = error.msg if isinstance(error, SyntaxError) else str(error)
    except BaseException:
        text = "(its message cannot be printed)"
    report = {"type": type(error).__name__, "message": text[:2000],
              "line": line_in(error, request.get("name", "")),
              "too_large": isinstance(error, TooLarge)}
    return json.dumps(report).encode()


BASIC = {int: {"type": "integer"}, float: {"type": "number"}, str: {"type": "string"},
         bool: {"type": "boolean"}, list: {"type": "array"}, tuple: {"type": "array"},
         dict: {"type": "object"}, type(None): {"type": "null"}, None: {"type": "null"}}


def schema_of(annotation):
    if annotation in BASIC:
        return dict(BASIC[annotation])
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal and all(isinstance(a, (str, int, bool, type(None))) for a in args):
        return {"enum": list(args)}
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [schema_of(a) for a in args]}
    if origin is list and len(args) == 1:
        return {"type": "array", "items": schema_of(args[0])}
    if origin is tuple:
        return {"type": "array"}
    if origin is dict and len(args) == 2:
        return {"type": "object", "additionalProperties": schema_of(args[1])}
    return {}


def describe(name, function):
    signature = inspect.signature(function)
    try:
        hints = typing.get_type_hints(function)
    except Exception:
        hints = {}
    properties, required, more = {}, [], False
    for parameter in signature.parameters.values():
        if parameter.kind == parameter.VAR_KEYWORD:
            more = True
        elif parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            properties[parameter.name] = schema_of(hints.get(parameter.name))\
                if parameter.name in hints else {}
            if parameter.default is parameter.empty:
                required.append(parameter.name)
    yields = inspect.isgeneratorfunction(function)
    output = schema_of(hints["return"]) if "return" in hints and not yields else {}
    return {"name": name, "description": (inspect.getdoc(function) or "").split("\n")[0],
            "input": {"type": "object", "properties": properties, "required": required,
                      "additionalProperties": more},
            "output": output, "streams": yields}


def functions_of(module):
    return [describe(name, value) for name, value in vars(module).items()
            if not name.startswith("_") and inspect.isfunction(value)
            and value.__module__ == module.__name__]


def settle(result):
    if inspect.iscoroutine(result):
        import asyncio
        return asyncio.run(result)
    return result


def call(units, channel, writer, request):
    module = units.module(request)
    name = request["function"]
    function = getattr(module, name, None)
    if not callable(function):
        raise NameError(f"there is no function {name}; define it with def {name}(...)")
    if request["key"]:
        os.environ["SLUICE_KEY"] = request["key"]
    else:
        os.environ.pop("SLUICE_KEY", None)
    limit = request["limit"]
    result = settle(function(**request["args"]))
    if isinstance(result, types.GeneratorType):
        if not request["stream"]:
            result = list(result)
        else:
            for item in result:
                payload = writer.write(item, limit)
                channel.send(b"I" if writer.has_bytes else b"i", payload)
            result = None
    payload = writer.write(result, limit)
    return (b"R" if writer.has_bytes else b"r"), payload


def main():
    if sys.path and sys.path[0] == "":
        del sys.path[0]
    channel, writer, units = Channel(), Writer(), Units()
    texts = {}  # sent with the first call of a unit only
    channel.send(b"h", b"")
    while True:
        request = channel.receive()
        try:
            if "text" in request:
                texts[request["unit"]] = {"name": request["name"], "text": request["text"]}
            request |= texts[request["unit"]]
            if request.get("bytes"):
                request["args"] = json.loads(json.dumps(request["args"]), object_hook=restore_bytes)
            if request["op"] == "list":
                kind, payload = b"r", writer.write(functions_of(units.module(request)), 0)
            else:
                kind, payload = call(units, channel, writer, request)
        except BaseException as error:
            kind, payload = b"e", error_payload(error, request)
        try:
            sys.stdout.flush()
        except Exception:
            pass  # user code may have closed it
        channel.send(kind, payload)


main()
#)py"
