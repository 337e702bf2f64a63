"""The REST surface keeps to its document: whatever is sent, each answer is one that /openapi.json describes.

schemathesis makes the requests from the document, right and wrong ones, and looks at status, headers, media type and
body of each answer; what it demands stands in schemathesis.toml. Here its cases follow from the document and a seed
alone. `make fuzz` makes many more of them, from what the answers say too.
"""

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.integration.services.edge import at_the_edge
from tests.integration.services.test_tenants import ground_of
from tests.integration.services.world import World
from tests.tidy.tree import ROOT

EXAMPLES = int(os.environ.get("ORDERMESH_FUZZ_EXAMPLES", "0"))
"""Cases of each operation made by chance; 0 takes a few, always the same."""
FEW = 2
RUN_SECONDS = 300.0 + EXAMPLES * 10
REPORT_CHARACTERS_MAX = 20_000
ALWAYS_THE_SAME = """
[phases.coverage.extra-data-sources]
responses = false

[phases.fuzzing.extra-data-sources]
responses = false

[phases.fuzzing.error-feedback]
enabled = false

[parameters]
"""
"""Beyond schemathesis.toml: nothing is learnt from answers, whose ids are others in each run."""
NO_FAULT = '"4xx", 501]'
"""End of the list of answers that are no fault. A machine under load may be late, which is documented and no fault."""
PARAMETERS: Mapping[str, str] = {
    "customerId": "customers",
    "productId": "products",
    "orderId": "orders",
    "invoiceId": "invoices",
    "exceptionId": "exceptions",
    "replayId": "replays",
}
"""Variables of paths, and the collection whose record stands there."""


def configuration(ids: Mapping[str, str]) -> str:
    """ids: of records that are there, by collection."""
    common = (ROOT / "schemathesis.toml").read_text()
    if EXAMPLES:
        return common
    assert NO_FAULT in common
    common = common.replace(NO_FAULT, NO_FAULT.replace("501", "501, 503, 504"))
    stated = [f'"path.{name}" = "{ids[collection]}"' for name, collection in PARAMETERS.items()]
    return common + ALWAYS_THE_SAME + "\n".join(stated) + "\n"


@pytest.mark.timeout(RUN_SECONDS + 100)
async def test_no_answer_is_undocumented_and_none_is_a_fault_of_ours(world: World, tmp_path: Path) -> None:
    async with at_the_edge(world) as edge:
        ground = await ground_of(edge)
        settings = tmp_path / "fuzz.toml"
        settings.write_text(configuration(ground.ids))
        process = await asyncio.create_subprocess_exec(
            str(Path(sys.executable).with_name("schemathesis")),
            f"--config-file={settings}",
            "run",
            f"{edge.url}/openapi.json",
            f"--header=Authorization: Bearer {edge.token()}",
            "--phases=examples,coverage,fuzzing",
            f"--max-examples={EXAMPLES or FEW}",
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(RUN_SECONDS):
                said, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    report = said.decode()
    assert process.returncode == 0, report[-REPORT_CHARACTERS_MAX:]
    assert "Tested: " in report
    sys.stdout.write(report[report.find("SUMMARY") :])
