"""What a run shows: every ratio has a figure or a reason, and rounds come to medians of same-round ratios."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from benchmarks import page, report
from benchmarks.course import GOALS
from benchmarks.sample import Found, Sample, cpu_ratio, rate_ratio, rounds

BEGAN = datetime(2026, 3, 1, 12, tzinfo=UTC)


def a_sample(rate: float, cpu: float = 100.0) -> Sample:
    return Sample(orders=10, rate=rate, cpu_us={"gateway": cpu, "postgres": 20.0})


def a_result() -> report.Result:
    found = Found(
        ratios={**dict.fromkeys(GOALS), "accept_vs_typical": 12.5},
        reasons={name: "no time was left" for name in GOALS if name != "accept_vs_typical"},
        rounds={"accept": [{"ordermesh": a_sample(1000), "typical & co": a_sample(80, 900)}]},
        figures={"Growth": {"10 orders": {"claim, ms": 1.5}}},
    )
    return report.Result(BEGAN, found, GOALS)


def test_the_json_is_one_line_with_every_ratio_and_a_reason_for_each_that_is_missing() -> None:
    text = report.as_json(a_result())

    told = json.loads(text)
    assert "\n" not in text
    assert list(told["ratios"]) == list(GOALS)
    assert told["ratios"]["accept_vs_typical"] == 12.5
    assert {name for name, value in told["ratios"].items() if value is None} == set(told["reasons"])


def test_the_page_says_why_a_figure_is_missing_and_charts_are_well_formed(tmp_path: Path) -> None:
    page.write(a_result(), tmp_path)

    text = (tmp_path / "README.md").read_text()
    assert "| accept_vs_typical | 12.5 | ≥ 15 |" in text
    assert "| growth_claim | – (no time was left) | ≤ 1.15 |" in text
    assert "typical &amp; co" in (tmp_path / "accept.svg").read_text()


def test_a_ratio_is_the_median_of_the_ratios_of_each_round() -> None:
    measured = [
        {"ours": a_sample(rate, 100), "theirs": a_sample(other, 340)}
        for rate, other in ((90, 9), (50, 50), (60, 20))
    ]

    assert rate_ratio(measured, "ours", "theirs") == 3
    assert cpu_ratio(measured, "ours", "theirs") == pytest.approx(120 / 360)


async def test_each_round_measures_every_way_once_and_begins_with_the_next() -> None:
    taken: list[str] = []

    async def measure(name: str) -> Sample:
        taken.append(name)
        return a_sample(1)

    ways = {name: (lambda seconds, name=name: measure(name)) for name in "abc"}
    measured = await rounds(ways, 3, 0.1, float("inf"), lambda words: None)

    assert "".join(taken) == "abcbcacab"
    assert [list(each) for each in measured] == [["a", "b", "c"]] * 3
