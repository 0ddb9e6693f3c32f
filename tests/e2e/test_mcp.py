"""Real MCP servers in plans."""

import json

PLAN = """
sluice: 1
tools:
  all: {kind: mcp, command: [node, "%s/server-everything/dist/index.js", stdio], effect: read}
  disk:
    kind: mcp
    command: [node, "%s/server-filesystem/dist/index.js", "%s"]
    functions:
      write_file: {effect: idempotent}
      read_text_file: {effect: read}
steps:
  echo: {for_each: [one, two, three], tool: all.echo, with: {message: "{{ item }}"}}
  sum: {tool: all.get-sum, with: {a: 2, b: 40}}
  write: {tool: disk.write_file, with: {path: "%s/note.txt", content: "written by a plan"}}
  read: {after: [write], tool: disk.read_text_file, with: {path: "%s/note.txt"}}
result: {echo: "{{ steps.echo.output }}", sum: "{{ steps.sum.output }}", read: "{{ steps.read.output }}"}
"""


def plan_for(servers, folder):
    return PLAN % (servers, servers, folder, folder, folder)


def test_two_servers_in_one_plan(sluice, mcp_servers):
    done = sluice.run_plan(plan_for(mcp_servers, sluice.folder))
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert all(word in json.dumps(echo)
               for word, echo in zip(("one", "two", "three"), result["echo"]))
    assert "42" in json.dumps(result["sum"])
    assert "written by a plan" in json.dumps(result["read"])
    assert (sluice.folder / "note.txt").read_text() == "written by a plan"


def test_a_server_that_refuses_says_why(sluice, mcp_servers):
    done = sluice.run_plan("""
sluice: 1
tools: {disk: {kind: mcp, command: [node, "%s/server-filesystem/dist/index.js", "%s"], effect: read}}
steps: {a: {tool: disk.read_text_file, with: {path: /etc/passwd}}}
result: "{{ steps.a.output }}"
""" % (mcp_servers, sluice.folder))
    assert done.returncode == 1
    assert "denied" in done.stderr.lower(), done.stderr
    assert "root:" not in done.stdout + done.stderr


def test_wrong_arguments_never_reach_the_server(sluice, mcp_servers):
    done = sluice.run_plan("""
sluice: 1
tools: {all: {kind: mcp, command: [node, "%s/server-everything/dist/index.js", stdio], effect: read}}
steps: {a: {tool: all.echo, with: {massage: hi}}}
result: "{{ steps.a.output }}"
""" % mcp_servers)
    assert done.returncode in (1, 2)
    assert "message" in done.stderr and "ARG_" in done.stderr, done.stderr


def test_tools_lists_their_functions(sluice, mcp_servers):
    plan = sluice.write("plan.yaml", plan_for(mcp_servers, sluice.folder))
    done = sluice("tools", plan)
    assert done.returncode == 0, done.stderr
    assert "echo" in done.stdout and "read_text_file" in done.stdout


def test_a_server_that_does_not_start(sluice):
    done = sluice.run_plan("""
sluice: 1
tools: {gone: {kind: mcp, command: [no-such-server]}}
steps: {a: {tool: gone.x}}
""")
    assert done.returncode == 1
    assert "TOOL_START" in done.stderr and "no-such-server" in done.stderr, done.stderr
