"""What `ordermesh up` tells the processes it runs."""

from pathlib import Path

from libs.cli.child import Tier
from libs.cli.config import surroundings
from libs.cli.instance import DataDir
from libs.cli.plan import make_plan
from libs.cli.processes import StoreUrls, process_specs


def test_every_process_of_the_mesh_tells_its_metrics_on_a_port_of_its_own(tmp_path: Path) -> None:
    plan = make_plan(0, None, with_simulators=True)
    try:
        specs = process_specs(plan, DataDir(tmp_path), StoreUrls(), surroundings())
    finally:
        plan.release()
    told = {spec.name: spec.metrics for spec in specs if spec.tier is not Tier.SIMULATOR}
    assert all(told.values()) and len(set(told.values())) == len(told)
    heard = {spec.name: spec.environment.get("ORDERMESH_METRICS_LISTEN") for spec in specs if spec.metrics}
    assert heard == told
