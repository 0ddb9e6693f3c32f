"""What the documents show works, and their links lead somewhere."""

import json
import re

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


def test_links_between_documents_lead_somewhere():
    broken = []
    pages = [ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*/*.md"),
             *ROOT.glob("bench/**/*.md")]
    for page in pages:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
            if "://" not in target and not (page.parent / target).exists():
                broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert not broken, broken
