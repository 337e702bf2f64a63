"""The supervisor's own log: DATA/logs/ordermesh.log tells which process died when, and when it was started again."""

import logging

from libs.cli.files import start_log
from libs.cli.instance import DataDir

ROOT = "ordermesh"


def keep_journal(data: DataDir) -> None:
    """From now on; a mesh that runs on the same directory keeps writing to the file it has."""
    data.logs.mkdir(parents=True, exist_ok=True)
    path = data.logs / "ordermesh.log"
    if not data.is_running:
        start_log(path)
    file = logging.FileHandler(path)
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger(ROOT)
    logger.addHandler(file)
    logger.setLevel(logging.INFO)
    logger.propagate = False
