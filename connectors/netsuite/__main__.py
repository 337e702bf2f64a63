"""`python -m connectors.netsuite`: the NetSuite connector as a process."""

from connectors.kit.servicer import serve_connector
from connectors.netsuite import app, config

if __name__ == "__main__":
    serve_connector(app.build, config.Settings)
