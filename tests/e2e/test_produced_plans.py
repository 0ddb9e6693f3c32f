"""Plans that a step produced: accepted within limits, refused whole beyond them."""

PLAN = """
sluice: 1
tools:
  out: {kind: files, root: ., write: true}
  db: {kind: sql}
steps:
  make:
    code: |
      def main():
          return %s
  go: {plan: "{{ steps.make.output }}", limits: {operators: [tool], tools: [db.query], steps: 2, tasks: 5}}
result: "{{ steps.go.output }}"
"""


def test_accepted(sluice):
    done = sluice.run_plan(PLAN % """{"sluice": 1, "steps": {"q": {"tool": "db.query",
            "with": {"sql": "select 6 * 7 as y"}}}, "result": "{{ steps.q.output[0].y }}"}""")
    assert (done.returncode, done.stdout) == (0, "42\n"), done.stderr


def test_refused_before_any_of_it_runs(sluice):
    done = sluice.run_plan(PLAN % """{"sluice": 1, "steps": {
            "q": {"tool": "db.query", "with": {"sql": "select 1"}},
            "w": {"tool": "out.write", "with": {"path": "evil.txt", "text": "x"}}}}""")
    assert done.returncode == 1
    assert "PLAN_REJECTED" in done.stderr and "out.write" in done.stderr, done.stderr
    assert not (sluice.folder / "evil.txt").exists()


def test_what_a_real_model_writes_cannot_get_out(sluice):
    """A model that fills in a plan of a given schema: whatever it says stays within the limits."""
    done = sluice.run_plan("""
sluice: 1
tools: {db: {kind: sql}}
steps:
  make:
    llm: default
    with: {max_tokens: 200, messages: [{role: user, content: "Write a plan with one step."}]}
    output:
      type: object
      required: [sluice, steps, result]
      additionalProperties: false
      properties:
        sluice: {const: 1}
        steps:
          type: object
          required: [q]
          additionalProperties: false
          properties:
            q:
              type: object
              required: [tool, with]
              additionalProperties: false
              properties:
                tool: {enum: [db.query, db.exec, sh.run]}
                with: {type: object, required: [sql], additionalProperties: false, properties: {sql: {type: string, maxLength: 40}}}
        result: {const: done}
  go:
    plan: "{{ steps.make.output }}"
    limits: {operators: [tool], tools: [db.query], steps: 2, tasks: 5}
    on_error: {step: why}
  why: {value: "{{ error.code }}"}
result: "{{ steps.go.output }}"
""")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() in ("done", "PLAN_REJECTED", "SQL_FAILED"), done.stdout
