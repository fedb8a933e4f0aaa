import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from app.providers import contract
from app.providers.open_service_broker import client
from tests.app.providers.open_service_broker import odd_broker

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate that nobody but its owner vouches for, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "broker")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(subject_name=name, issuer_name=name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "broker.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return file


async def test_a_certificate_must_be_vouched_for(certificate: Path) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    with odd_broker.running(tls=tls) as broker:

        def asking(ca_file: Path | None) -> client.Client:
            return client.Client(
                url=f"https://127.0.0.1:{broker.port}",
                username=odd_broker.USERNAME,
                password=odd_broker.PASSWORD,
                ca_file=ca_file,
                deadline=5,
            )

        stranger, friend = asking(None), asking(certificate)
        with pytest.raises(contract.ProviderError, match="certificate"):
            await stranger.ask("GET", "/v2/catalog")
        answer = await friend.ask("GET", "/v2/catalog")
        await stranger.aclose()
        await friend.aclose()

    assert answer.status == 200
    assert broker.whats == ["GET catalog"]
