"""Certificates for development: each names its process, and each process of `ordermesh up --tls` gets one."""

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from typer.testing import CliRunner

from libs.cli.__main__ import build
from libs.cli.certs import files_of, make_certificates, process_names
from libs.cli.child import Tier
from libs.cli.config import surroundings
from libs.cli.instance import DataDir
from libs.cli.plan import make_plan
from libs.cli.processes import StoreUrls, process_specs
from libs.common.certificates import Certificates
from libs.common.testing.clock import FakeClock


def certificate(folder: Path, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(files_of(folder, name).certificate.read_bytes())


def names_in(shown: x509.Certificate) -> list[str]:
    extension = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return extension.value.get_values_for_type(x509.DNSName)


def test_the_command_makes_one_for_each_process_of_a_mesh(tmp_path: Path) -> None:
    out = tmp_path / "certs"
    ran = CliRunner().invoke(build(), ["certs", "--out", str(out), "--host", "mesh.example"])
    assert ran.exit_code == 0, ran.output
    for name in process_names():
        Certificates(files_of(out, name))
        assert names_in(certificate(out, name)) == [name, "localhost", "mesh.example"]
        assert files_of(out, name).key.stat().st_mode & 0o077 == 0


def test_a_certificate_is_of_the_authority_and_ends_when_it_should(tmp_path: Path) -> None:
    clock = FakeClock()
    make_certificates(tmp_path, ["order"], valid=timedelta(days=7), clock=clock)
    authority, made = certificate(tmp_path, "ca"), certificate(tmp_path, "order")
    made.verify_directly_issued_by(authority)
    assert made.not_valid_before_utc < clock.now()
    assert made.not_valid_after_utc == clock.now() + timedelta(days=7)
    key = load_pem_private_key(files_of(tmp_path, "order").key.read_bytes(), None)
    assert key.public_key() == made.public_key()
    with pytest.raises(ValueError, match=r"[Ii]ssuer"):
        authority.verify_directly_issued_by(made)


def test_another_run_renews_certificates_under_the_same_authority(tmp_path: Path) -> None:
    make_certificates(tmp_path, ["order"])
    authority, first = certificate(tmp_path, "ca"), certificate(tmp_path, "order")
    make_certificates(tmp_path, ["order"])
    assert certificate(tmp_path, "ca") == authority
    assert certificate(tmp_path, "order") != first
    certificate(tmp_path, "order").verify_directly_issued_by(authority)


def test_with_tls_every_process_of_the_mesh_is_told_its_own_certificate(tmp_path: Path) -> None:
    plan, data = make_plan(0, None, with_simulators=True), DataDir(tmp_path)
    try:
        specs = process_specs(plan, data, StoreUrls(), surroundings(), tls=True)
    finally:
        plan.release()
    told = {spec.name: spec.environment.get("ORDERMESH_TLS_CERTIFICATE_FILE") for spec in specs}
    ours = {spec.name for spec in specs if spec.tier is not Tier.SIMULATOR}
    assert ours == set(process_names())
    assert {name: told[name] for name in ours} == {
        name: str(tmp_path / "tls" / f"{name}.crt") for name in ours
    }
    assert not any(told[name] for name in told.keys() - ours)
