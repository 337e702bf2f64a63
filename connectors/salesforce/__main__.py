"""`python -m connectors.salesforce`: the connector as a process."""

from connectors.kit.servicer import serve_connector
from connectors.salesforce import app, config

if __name__ == "__main__":
    serve_connector(app.build, config.Settings)
