"""`python -m gateway`: serves the REST gateway until SIGTERM or SIGINT."""

from gateway.config import GatewaySettings
from gateway.serving import serve
from libs.common.config import load_settings

if __name__ == "__main__":
    serve(load_settings(GatewaySettings))
