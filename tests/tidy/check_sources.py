#!/usr/bin/env python3
"""Checks our own sources against the rules of docs and DESIGN: one function per rule.

    check_sources.py [ROOT]     prints FILE:LINE: RULE: TEXT, exits 1 when it found something

test_check_sources.py holds a bad sample for every rule here: a rule that catches nothing is a bug.
"""

import ast
import dataclasses
import pathlib
import re
import sys

MAX_FUNCTION_LINES = 70
MAX_FILE_LINES = 600
CPP_ROOTS = ("src", "tests", "bench")
PYTHON_ROOTS = ("scripts", "tests", "bench", "python", "examples")
UNFINISHED = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")
BANNED_NAME_PARTS = {"util", "utils", "helper", "helpers", "manager", "managers", "common"}
ENGINE_ONLY = re.compile(r"^(llama|ggml|gguf|xgrammar|dlpack|jinja|nlohmann)\b")
CLOCKS_AND_CHANCE = re.compile(
    r"\b(system_clock|steady_clock|high_resolution_clock|file_clock|utc_clock)\s*::\s*now\b"
    r"|\brandom_device\b|(?<![\w.>:])(std::|::)?[sdlm]?rand(48|_r)?\s*\("
    r"|(?<![\w.>:])(std::|::)?(time|clock)\s*\(\s*(0|NULL|nullptr|&\w+)?\s*\)"
    r"|\b(clock_gettime|gettimeofday|getrandom|arc4random\w*)\s*\(")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
SCOPE = re.compile(r"((inline|typedef|static|constexpr|const|export)\s+)*"
                   r"((namespace|class|struct|union|enum)\b|extern\s*\"\")")


@dataclasses.dataclass(frozen=True)
class Finding:
    file: str
    line: int
    rule: str
    text: str

    def __str__(self):
        return f"{self.file}:{self.line}: {self.rule}: {self.text}"


def read_folder_table(path):
    """{folder: set of the folders it may include} from cmake/folders.txt, which for a folder below
    another one (host/files) are those of the same parent."""
    table = {}
    for line in pathlib.Path(path).read_text().splitlines():
        matched = re.match(r"^(/?)([a-z]+):(.*)$", line)
        if matched and matched[1]:
            below = [f"{matched[2]}/{name}" for name in matched[3].split()]
            table.update({folder: set(below[:place]) for place, folder in enumerate(below)})
        elif matched:
            table[matched[2]] = set(matched[3].split())
    return table


STRIPPABLE = re.compile(
    r'//[^\n]*|/\*.*?\*/|R"([^()\s\\]{0,16})\(.*?\)\1"|"(?:\\.|[^"\\\n])*"'
    r"|(?<![0-9a-fA-F'])'(?:\\.|[^'\\\n])+'", re.DOTALL)


def strip_comments_and_strings(text):
    """The same text, line for line, with comments gone and literals emptied."""
    def blank(matched):
        literal = matched[0]
        newlines = "\n" * literal.count("\n")
        return (" " if literal.startswith("/") else '""') + newlines
    return STRIPPABLE.sub(blank, text)


def strip_preprocessor(text):
    """Directives become empty lines; a macro's body is not a function of ours."""
    out, continued = [], False
    for line in text.split("\n"):
        directive = continued or line.lstrip().startswith("#")
        continued = directive and line.endswith("\\")
        out.append("" if directive else line)
    return "\n".join(out)


def without_template(head):
    """The head without access labels and without its template parameters."""
    head = re.sub(r"^((public|private|protected)\s*:\s*)+", "", head)
    while re.match(r"template\s*<", head):
        depth = 0
        for position, char in enumerate(head):
            depth += (char == "<") - (char == ">")
            if char == ">" and depth == 0:
                break
        head = head[position + 1:].lstrip()
    return head


def is_function_head(head):
    """Does this text before a `{` open a function's body (outside of any other)?"""
    return ("(" in head and not SCOPE.match(without_template(head))
            and not re.search(r"=\s*$", head))


def functions(stripped):
    """(first line, last line, head) of every function body outside other functions."""
    found, stack, head_start, inside_function = [], [], 0, 0
    for matched in re.finditer(r"[{};]", stripped):
        position = matched.start()
        if matched[0] == "{":
            head = stripped[head_start:position]
            first = head_start + len(head) - len(head.lstrip())
            is_function = not inside_function and is_function_head(head.strip())
            stack.append((is_function, first, " ".join(head.split())))
            inside_function += is_function
        elif matched[0] == "}" and stack:
            is_function, first, head = stack.pop()
            inside_function -= is_function
            if is_function:
                lines = stripped.count("\n", 0, first) + 1
                found.append((lines, lines + stripped.count("\n", first, position), head))
        head_start = position + 1
    return found


def check_function_length(name, text):
    stripped = strip_preprocessor(strip_comments_and_strings(text))
    for first, last, head in functions(stripped):
        lines = last - first + 1
        if lines > MAX_FUNCTION_LINES:
            yield Finding(name, first, "function-length",
                          f"{lines} lines, at most {MAX_FUNCTION_LINES}: {head[:60]}")


def check_python_function_length(name, text):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            lines = node.end_lineno - node.lineno + 1
            if lines > MAX_FUNCTION_LINES:
                yield Finding(name, node.lineno, "function-length",
                              f"{lines} lines, at most {MAX_FUNCTION_LINES}: {node.name}")


def check_file_length(name, text):
    lines = len(text.splitlines())
    if lines > MAX_FILE_LINES:
        yield Finding(name, lines, "file-length", f"{lines} lines, at most {MAX_FILE_LINES}")


def check_file_name(name, _text):
    path = pathlib.PurePosixPath(name)
    for part in [*path.parts[:-1], path.stem]:
        if BANNED_NAME_PARTS & set(re.split(r"[_\-.]", part)):
            yield Finding(name, 1, "file-name", f"'{part}' says nothing about what is inside")
    if not re.fullmatch(r"[a-z0-9_]+\.[a-z]+", path.name):
        yield Finding(name, 1, "file-name", "not snake_case")


def check_unfinished(name, text):
    for number, line in enumerate(text.splitlines(), 1):
        if UNFINISHED.search(line):
            yield Finding(name, number, "unfinished", line.strip()[:60])


def check_header(name, text):
    if not name.endswith(".h"):
        return
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    # Compiled once per instruction set, so it guards itself as Highway asks.
    if "#pragma once" not in lines and "HWY_TARGET_TOGGLE" not in text:
        yield Finding(name, 1, "header", "has no #pragma once")
    opening = [line for line in lines[:2] if line != "#pragma once"]
    if not opening or not opening[0].startswith("//"):
        yield Finding(name, 1, "header", "does not open with a comment that says what it is for")


def check_using_namespace(name, text):
    for number, line in enumerate(strip_comments_and_strings(text).splitlines(), 1):
        if re.search(r"\busing\s+namespace\s+(::)?std\s*;", line):
            yield Finding(name, number, "using-namespace-std", line.strip())


def source_folder(name):
    parts = pathlib.PurePosixPath(name).parts
    return parts[1] if parts[0] == "src" and len(parts) > 2 else None


def check_clocks_and_chance(name, text):
    folder = source_folder(name)
    if folder is None or folder == "base":
        return
    for number, line in enumerate(strip_comments_and_strings(text).splitlines(), 1):
        matched = CLOCKS_AND_CHANCE.search(line)
        if matched:
            yield Finding(name, number, "clock-or-chance",
                          f"`{matched[0].strip()}` outside base/: use base/clock.h or base/random.h")


def check_includes(name, text, table):
    folder = source_folder(name)
    if folder is None:
        return
    if folder not in table:
        yield Finding(name, 1, "include", f"src/{folder} is not in cmake/folders.txt")
        return
    for number, line in enumerate(text.splitlines(), 1):
        matched = INCLUDE.match(line)
        if matched:
            problem = (include_problem(folder, matched[1], matched[2], table)
                       or order_problem(name, matched[2], table))
            if problem:
                yield Finding(name, number, "include", problem)


def order_problem(name, target, table):
    """What is wrong with an include from one folder below a folder to another one of it, or None."""
    own, other = ("/".join(path.split("/")[:2]) for path in (name.removeprefix("src/"), target))
    if own not in table or other not in table or other == own or other in table[own]:
        return None
    return f"{own} may not include {other}: {target}"


def is_jinja_header(folder, target):
    """llama.cpp keeps these beside its jinja/ folder."""
    return folder == "engine" and target in ("json.h", "unicode.h")


def include_problem(folder, quote, target, table):
    """What is wrong with one include, or None."""
    first = target.split("/")[0]
    if ENGINE_ONLY.match(target):
        return None if folder == "engine" else f"{target} belongs to src/engine alone"
    if first in table and "/" in target:
        if first == folder or first in table[folder]:
            return None
        allowed = " ".join(sorted(table[folder])) or "nothing"
        return f"{folder} may not include {first} (it may: {allowed}): {target}"
    if quote == '"' and "/" not in target and not is_jinja_header(folder, target):
        return f'"{target}": write the path from src/, or <> for what is not ours'
    return None


NAMESPACE = re.compile(r"^(?:inline\s+)?namespace\b\s*([\w:]*)\s*$")
TYPE = re.compile(r"^(?:class|struct|union|enum(?:\s+(?:class|struct))?)\s+"
                  r"(?:(?:\[\[.*?\]\]|alignas\s*\([^)]*\))\s*)*([\w:]+)\s*(?:final\s*)?(?::(?!:).*)?$",
                  re.DOTALL)


def shared_types(text):
    """(qualified name, line) of every type that other files could see: defined in no function, no
    other type and no anonymous namespace."""
    stripped = strip_preprocessor(strip_comments_and_strings(text))
    scopes, head_start = [], 0  # the namespaces around; None: nothing in there is shared
    for matched in re.finditer(r"[{};]", stripped):
        position = matched.start()
        if matched[0] == "{":
            head = stripped[head_start:position]
            words = without_template(head.strip())
            namespace, defined = NAMESPACE.match(words), TYPE.match(words)
            if defined and None not in scopes:
                first = head_start + len(head) - len(head.lstrip())
                yield ("::".join([*filter(None, scopes), defined[1]]),
                       stripped.count("\n", 0, first) + 1)
            if words == 'extern ""':
                scopes.append("")
            else:
                scopes.append(namespace[1] or None if namespace else None)
        elif matched[0] == "}" and scopes:
            scopes.pop()
        head_start = position + 1


def may_meet(one, other):
    """Can both files be in one program? Each folder of tests and of bench is one of its own, with all
    of src/; a header may be anywhere."""
    def program(name):
        return pathlib.PurePosixPath(name).parts[:2]
    return ("src" in (program(one)[0], program(other)[0]) or program(one) == program(other)
            or one.endswith(".h") or other.endswith(".h"))


def check_one_definition(texts):
    """Two types of one name in one program: which of them a call gets is the linker's choice.
    `texts`: of all our C++ files, by their names."""
    seen = {}
    for name, text in sorted(texts.items()):
        for type_name, line in shared_types(text):
            for other in seen.get(type_name, []):
                if other != name and may_meet(name, other):
                    yield Finding(name, line, "one-definition",
                                  f"{type_name} is defined in {other} too: put it into an "
                                  "anonymous namespace, or give it a name of its own")
                    break
            seen.setdefault(type_name, []).append(name)


def check_text(name, text, table):
    """Every finding in one file whose path from the root is `name`."""
    findings = [*check_file_name(name, text), *check_file_length(name, text),
                *check_unfinished(name, text)]
    if name.endswith(".py"):
        return findings + [*check_python_function_length(name, text)]
    return findings + [*check_function_length(name, text), *check_header(name, text),
                       *check_using_namespace(name, text), *check_clocks_and_chance(name, text),
                       *check_includes(name, text, table)]


def own_sources(root):
    """Our C++ and Python files, as paths from the root."""
    for top, endings in [(t, (".h", ".cpp")) for t in CPP_ROOTS] + [(t, (".py",))
                                                                   for t in PYTHON_ROOTS]:
        for path in sorted((root / top).rglob("*")):
            inside = path.relative_to(root)
            if path.suffix in endings and not {"node_modules", "__pycache__"} & set(inside.parts):
                yield inside.as_posix()


def check_tree(root):
    root = pathlib.Path(root)
    table = read_folder_table(root / "cmake" / "folders.txt")
    findings, cpp = [], {}
    for name in own_sources(root):
        text = (root / name).read_text(encoding="utf-8", errors="replace")
        findings += check_text(name, text, table)
        if not name.endswith(".py"):
            cpp[name] = text
    return findings + list(check_one_definition(cpp))


def main():
    root = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parents[2]
    findings = check_tree(root)
    for finding in findings:
        print(finding)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
