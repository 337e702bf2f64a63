"""How often Python looks for garbage. Open this file when a process's memory or its pauses surprise.

Nearly everything a call makes goes when the last name for it does; the collector only looks for what holds itself.
"""

import gc

NEW_OBJECTS_MAX = 10_000
"""New objects after which the collector looks among them; Python's own 700 are made by a handful of calls."""


def settle() -> None:
    """To be called once a process has made what it keeps for good: the collector never looks at that again.

    Both together are worth a tenth of the time of a call.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS_MAX)
