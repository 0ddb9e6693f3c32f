"""What the documents show works, and their links lead somewhere."""

import json
import re
import subprocess

from conftest import ROOT


def test_the_plan_of_the_readme_runs(sluice):
    readme = (ROOT / "README.md").read_text()
    plan = re.search(r"```yaml\n(.*?)```", readme, re.S).group(1)
    sluice.write("texts/a.txt", "Bees collect nectar and make honey.")
    sluice.write("texts/b.txt", "Trains run on rails of steel.")
    done = sluice.run_plan(plan)
    assert done.returncode == 0, done.stderr
    topics = json.loads(done.stdout)
    assert len(topics) == 2 and all(0 < len(topic) <= 40 for topic in topics)


def test_each_numbered_line_of_the_readme_is_explained():
    readme = (ROOT / "README.md").read_text()
    plan = re.search(r"```yaml\n(.*?)```", readme, re.S).group(1)
    numbers = [int(line.rsplit("#", 1)[1]) for line in plan.splitlines()]
    assert numbers == list(range(1, len(numbers) + 1))
    explained = [int(n) for n in re.findall(r"^(\d+)\. ", readme, re.M)]
    assert explained == numbers


def test_explain_prints_what_the_readme_shows(sluice, tmp_path):
    """As on a machine on which nothing has run yet."""
    readme = (ROOT / "README.md").read_text()
    shown = re.findall(r"<code>sluice explain (\S+)</code>.*?```\n(.*?)```", readme, re.S)
    assert len(shown) == 2
    for plan, text in shown:
        done = subprocess.run(sluice.words("explain", plan), cwd=ROOT, text=True, capture_output=True,
                              env=sluice.variables({"SLUICE_CACHE": str(tmp_path / "empty")}))
        assert done.returncode == 0, done.stderr
        assert done.stdout == text


def test_links_between_documents_lead_somewhere():
    broken = []
    pages = [ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*/*.md"),
             *ROOT.glob("bench/**/*.md")]
    for page in pages:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
            if "://" not in target and not (page.parent / target).exists():
                broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert not broken, broken
