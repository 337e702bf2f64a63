"""`ordermesh certs`: an authority for development, and a certificate for each process. Open it to see what one holds.

DIR/ca.crt and ca.key are made once; every run makes new certificates under them, which running processes take up by
themselves. A production mesh brings certificates of its own authority, with the same names in them.
"""

from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

import typer
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from libs.cli.files import write_whole
from libs.cli.plan import DEFAULT_TOPOLOGY
from libs.common.certificates import CertificateFiles
from libs.common.clock import Clock, SystemClock
from libs.common.topology import SERVICES

CA = "ca"
CA_DAYS = 3650
DAYS = 30
SKEW = timedelta(minutes=5)
"""How far ahead the clock of the machine that makes a certificate may be."""
LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
GATEWAY = "gateway"


def connector_name(system: str) -> str:
    """The process that speaks to a system, as its certificate names it."""
    return f"connector-{system}"


def process_names() -> tuple[str, ...]:
    """The processes of a mesh as `ordermesh up` starts it."""
    systems = DEFAULT_TOPOLOGY["systems"]
    assert isinstance(systems, dict)
    return (GATEWAY, *SERVICES, *map(connector_name, systems))


def certs(
    out: Annotated[Path, typer.Option("--out", help="Where they are written; made when missing.")] = Path(
        "certs"
    ),
    name: Annotated[
        list[str] | None, typer.Option("--name", help="Process to make one for; default all. Repeatable.")
    ] = None,
    host: Annotated[
        list[str] | None, typer.Option("--host", help="Further host or address callers use. Repeatable.")
    ] = None,
    days: Annotated[int, typer.Option("--days", min=1, max=398, help="How long they are valid.")] = DAYS,
) -> None:
    """Makes a development authority and certificates for mutual TLS."""
    names = name or process_names()
    make_certificates(out, names, hosts=host or (), valid=timedelta(days=days))
    typer.echo(f"{out}/{CA}.crt, and a certificate and key for each of: {', '.join(names)}")


def files_of(folder: Path, name: str) -> CertificateFiles:
    """Where the certificate of a process lies."""
    return CertificateFiles(folder / f"{name}.crt", folder / f"{name}.key", folder / f"{CA}.crt")


def make_certificates(
    folder: Path,
    names: tuple[str, ...] | list[str],
    *,
    hosts: tuple[str, ...] | list[str] = (),
    valid: timedelta = timedelta(days=DAYS),
    clock: Clock | None = None,
) -> None:
    """A certificate for each name, under the folder's authority, which is made where there is none."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    clock = clock or SystemClock()
    authority, authority_key = _authority(folder, clock)
    for name in names:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _unsigned(name, authority.subject, key, clock, valid)
        shown = x509.SubjectAlternativeName([_host(host) for host in (name, *LOCAL_HOSTS, *hosts)])
        usage = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
        certificate = (
            builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(of_authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usage), critical=False)
            .add_extension(shown, critical=False)
            .add_extension(issuer, critical=False)
            .sign(authority_key, hashes.SHA256())
        )
        _write(files_of(folder, name).key, files_of(folder, name).certificate, key, certificate)


def _authority(folder: Path, clock: Clock) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key_file, certificate_file = folder / f"{CA}.key", folder / f"{CA}.crt"
    if key_file.exists() and certificate_file.exists():
        key = serialization.load_pem_private_key(key_file.read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey), f"{key_file} is no key of ours"
        return x509.load_pem_x509_certificate(certificate_file.read_bytes()), key
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ordermesh development")])
    certificate = (
        _unsigned("ordermesh development", name, key, clock, timedelta(days=CA_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(of_authority=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    _write(key_file, certificate_file, key, certificate)
    return certificate, key


def _unsigned(
    name: str, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, clock: Clock, valid: timedelta
) -> x509.CertificateBuilder:
    now = clock.now()
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + valid)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _key_usage(*, of_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not of_authority,
        key_cert_sign=of_authority,
        crl_sign=of_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _write(
    key_file: Path, certificate_file: Path, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate
) -> None:
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_whole(key_file, text.decode())
    write_whole(certificate_file, certificate.public_bytes(serialization.Encoding.PEM).decode(), mode=0o644)
