"""`sluice check` names line and column of each mistake in tests/broken_plans/."""

import re

import pytest
from conftest import ROOT

PLANS = sorted(p for p in (ROOT / "tests/broken_plans").iterdir() if p.suffix in (".yaml", ".json"))


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.stem)
def test_each_mistake_is_found_with_its_place(sluice, plan):
    wanted = plan.with_suffix(".expect").read_text().split("\n")[:-1]
    done = sluice("check", plan)
    found = re.findall(r"^.*?:(\d+:\d+): error (\w+): .+$", done.stdout + done.stderr, re.M)
    assert [f"{place} {code}" for place, code in found] == wanted, done.stdout + done.stderr
    assert done.returncode == 2


def test_there_are_some():
    assert len(PLANS) >= 25
