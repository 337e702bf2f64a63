"""What every vendor simulator shares; start here to write a new one.

A simulator is one process that speaks a vendor's wire format well enough that third-party clients work
unmodified, keeps its documents through `kill -9`, and can be told to misbehave. It supplies its vendor
routes, the vendor's own error bodies and three hooks; this package supplies the rest:

    store.py    documents on SQLite, unique external keys, ids that survive a restart
    faults.py   the fault switches of `/_sim/faults`
    app.py      `/_sim/*` around the vendor's routes, and acting on faults
    serving.py  command line, uvicorn, in-process serving for tests
    exact.py    JSON whose numbers never pass through a float

    store = Store(options.state)
    faults = Faults(spared_paths=TOKEN_PATHS)
    app = Simulator(system="acme", store=store, faults=faults, routes=[...], replies=AcmeReplies(), ...)
    run(app, host=options.host, port=options.port)      # or: async with serving(app) as url: ...

A vendor handler reads with `store.get` and writes with `with store.change() as change: change.add(...)`.
"""

from connectors.kit.simulator.app import Hook, Refusal, Simulator, VendorReplies
from connectors.kit.simulator.clock import Clock, system_clock
from connectors.kit.simulator.exact import (
    ExactJSONResponse,
    JsonObject,
    Malformed,
    dumps,
    loads,
    read_object,
)
from connectors.kit.simulator.faults import Fault, FaultKind, Faults
from connectors.kit.simulator.serving import arguments, run, serving
from connectors.kit.simulator.store import Change, Document, DuplicateKey, Store

__all__ = [
    "Change",
    "Clock",
    "Document",
    "DuplicateKey",
    "ExactJSONResponse",
    "Fault",
    "FaultKind",
    "Faults",
    "Hook",
    "JsonObject",
    "Malformed",
    "Refusal",
    "Simulator",
    "Store",
    "VendorReplies",
    "arguments",
    "dumps",
    "loads",
    "read_object",
    "run",
    "serving",
    "system_clock",
]
