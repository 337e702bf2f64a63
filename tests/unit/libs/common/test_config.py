"""Settings come from the environment, are documented, and never show their secrets."""

from pathlib import Path

import pytest
from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from libs.common.config import Environment, ProcessSettings, load_settings, read_secret, settings_reference


class NetsuiteSettings(ProcessSettings):
    """As a connector declares its own."""

    model_config = SettingsConfigDict(env_prefix="ORDERMESH_NETSUITE_")

    base_url: str
    """Address of the account."""
    client_secret_file: Path | None = None
    """Secret file with the client's secret."""
    api_token: SecretStr | None = None
    """Token of the client."""
    window_seconds: int = Field(default=5, ge=1)
    """Length of a window, in seconds."""


def test_a_process_starts_with_no_environment_at_all() -> None:
    settings = load_settings(ProcessSettings)
    assert settings.environment is Environment.PRODUCTION
    assert settings.audience == "ordermesh"
    assert settings.database_url_of("order") is None


def test_a_derived_class_has_its_own_prefix_and_keeps_the_common_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ORDERMESH_LISTEN", "127.0.0.2:5201")
    monkeypatch.setenv("ORDERMESH_NETSUITE_BASE_URL", "http://127.0.0.1:5301")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318")
    settings = load_settings(NetsuiteSettings)
    assert settings.listen == "127.0.0.2:5201"
    assert settings.base_url == "http://127.0.0.1:5301"
    assert settings.otlp_endpoint == "http://collector:4318"


def test_a_service_s_own_database_comes_before_the_common_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERMESH_DATABASE_URL", "postgresql+asyncpg://common/db")
    monkeypatch.setenv("ORDERMESH_ORDER_DATABASE_URL", "postgresql+asyncpg://own/db")
    settings = load_settings(ProcessSettings)
    assert settings.database_url_of("order") == "postgresql+asyncpg://own/db"
    assert settings.database_url_of("invoice") == "postgresql+asyncpg://common/db"


def test_a_secret_is_shown_neither_in_print_nor_in_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERMESH_DATABASE_URL", "postgresql+asyncpg://u:hunter2@h/db")
    monkeypatch.setenv("ORDERMESH_DRAIN_SECONDS", "hunter3")
    with pytest.raises(SystemExit) as refused:
        load_settings(ProcessSettings)
    assert "ORDERMESH_DRAIN_SECONDS" in str(refused.value)
    assert "hunter" not in str(refused.value)
    monkeypatch.delenv("ORDERMESH_DRAIN_SECONDS")
    assert "hunter2" not in repr(load_settings(ProcessSettings))


def test_a_missing_setting_is_named_as_the_variable_to_set() -> None:
    with pytest.raises(SystemExit, match="ORDERMESH_NETSUITE_BASE_URL: Field required"):
        load_settings(NetsuiteSettings)


def test_the_reference_names_variable_default_and_secrecy_of_every_setting() -> None:
    entries = {entry.variable: entry for entry in settings_reference(NetsuiteSettings)}
    assert len(entries) == len(NetsuiteSettings.model_fields)
    assert entries["ORDERMESH_NETSUITE_BASE_URL"].default == "required"
    assert entries["ORDERMESH_NETSUITE_CLIENT_SECRET_FILE"].secret
    assert entries["ORDERMESH_NETSUITE_API_TOKEN"].secret
    assert entries["ORDERMESH_DATABASE_URL"].secret
    assert not entries["ORDERMESH_LISTEN"].secret
    assert entries["ORDERMESH_NETSUITE_WINDOW_SECONDS"].default == "5"


def test_every_common_setting_is_documented() -> None:
    assert [entry.variable for entry in settings_reference(ProcessSettings) if len(entry.text) < 20] == []


def test_a_mounted_secret_loses_the_newline_editors_add(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("s3cret\n")
    assert read_secret(path) == "s3cret"


@pytest.mark.parametrize("said", ["", "true"])
def test_metrics_beyond_this_machine_are_plain_text_only_where_that_is_said(
    monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    monkeypatch.setenv("ORDERMESH_METRICS_LISTEN", "[::]:9464")
    if said:
        monkeypatch.setenv("ORDERMESH_METRICS_PLAIN_TEXT", said)
        assert load_settings(ProcessSettings).metrics_listen == "[::]:9464"
        return
    with pytest.raises(SystemExit, match="ORDERMESH_METRICS_LISTEN"):
        load_settings(ProcessSettings)
