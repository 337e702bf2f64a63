"""The API reference: a viewer that comes from this gateway alone and shows what the document says."""

import asyncio
import re
import shutil
from pathlib import Path

import pytest

from gateway.reference import ASSETS, PATH
from gateway.rules import public_rules
from tests.contract.test_gateway.mesh import Mesh, running_mesh, served

BROWSERS = ("chromium", "chromium-headless-shell", "google-chrome", "chrome", "chromium-browser")
RENDER_SECONDS = 120.0
LINK = re.compile(r'(?:src|href)="([^"]*)"')


async def test_every_asset_of_the_page_comes_from_our_origin(mesh: Mesh) -> None:
    page = await mesh.http.get(PATH)
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    links = [link for link in LINK.findall(page.text) if link != "data:,"]
    assert len(links) == 4
    for link in links:
        assert not link.startswith(("http", "//")), link
        asset = await mesh.http.get(f"/{link}")
        assert asset.status_code == 200, link
        assert asset.content


async def test_browser_may_load_and_run_nothing_from_elsewhere(mesh: Mesh) -> None:
    policy = (await mesh.http.get(PATH)).headers["content-security-policy"]
    directives = dict(part.split(" ", 1) for part in policy.split("; "))
    assert directives["default-src"] == "'none'"
    assert directives["script-src"] == directives["connect-src"] == "'self'"
    assert not re.search(r"https?:|\*", policy)
    assert "unsafe-eval" not in policy
    assert not re.search(r"<script>|<style>|\son\w+=", (await mesh.http.get(PATH)).text)


@pytest.mark.parametrize("name", sorted(ASSETS))
async def test_asset_is_kept_by_the_browser_and_said_to_be_what_it_is(mesh: Mesh, name: str) -> None:
    asset = await mesh.http.get(f"{PATH}/{name}")
    assert asset.headers["cache-control"] == "public, max-age=3600"
    assert asset.headers["x-content-type-options"] == "nosniff"
    assert asset.headers["content-type"].startswith(ASSETS[name][1])
    assert asset.headers["x-correlation-id"]
    told = await mesh.http.head(f"{PATH}/{name}")
    assert (told.content, told.headers["content-length"]) == (b"", asset.headers["content-length"])


async def test_what_the_viewer_s_package_holds_besides_is_not_served(mesh: Mesh) -> None:
    for path in (f"{PATH}/swagger.html", f"{PATH}/../pyproject.toml", f"{PATH}/", f"{PATH}/%2e%2e/x"):
        assert (await mesh.http.get(path)).status_code == 404, path


@pytest.mark.timeout(300)
async def test_page_shows_every_operation_without_a_network(tmp_path: Path) -> None:
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip("there is no Chromium on this machine")
    async with running_mesh(tmp_path) as mesh, served(mesh.gateway, mesh.settings) as port:
        shown = await rendered(browser, f"http://127.0.0.1:{port}{PATH}", tmp_path / "profile")
    names = {rule.name[0].lower() + rule.name[1:] for rule in public_rules() if "=" not in rule.template}
    missing = sorted(name for name in names if not re.search(rf'id="operations-\w+-{name}"', shown))
    assert not missing, missing
    assert "errors-wrapper" not in shown


async def rendered(browser: str, url: str, profile: Path) -> str:
    """The page as it stands once the viewer has run; names of other machines lead nowhere."""
    arguments = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        f"--user-data-dir={profile}",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        "--virtual-time-budget=30000",
        f"--timeout={int(RENDER_SECONDS * 1000)}",
        "--dump-dom",
        url,
    ]
    process = await asyncio.create_subprocess_exec(
        browser, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(RENDER_SECONDS):
            shown, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return shown.decode()
