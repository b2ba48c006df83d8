"""TLS on both sides, with certificates of a CA made for the test."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from e2e.conftest import MakePool
from e2e.kube import Kubectl, eventually
from e2e.world import Pool, Postgres


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    """A folder with ca.crt and ca.key."""
    _authority(tmp_path, "test ca")
    return tmp_path


@pytest.fixture
def encrypted(database: Postgres, authority: Path) -> Iterator[None]:
    """The primary has a certificate of the CA, and takes the pools' users with TLS only."""
    _certificate(authority, "server", "main")
    for name in ("server.crt", "server.key"):
        write = f"umask 077; cat > $PGDATA/{name}"
        database.kubectl(
            "exec", "-i", "main-a-0", "--", "bash", "-c", write, stdin=(authority / name).read_text()
        )
    database.query("ALTER SYSTEM SET ssl = on")
    database.query("SELECT pg_reload_conf()")
    eventually("the server offers TLS", lambda: database.query("SHOW ssl") == [("on",)])
    yield
    database.query("ALTER SYSTEM RESET ssl")
    database.query("SELECT pg_reload_conf()")


def test_clients_must_use_tls_and_can_check_whom_they_talk_to(
    make_pool: MakePool, kube: Kubectl, authority: Path
) -> None:
    _certificate(authority, "tls", "app-rw.e2e.svc")
    _secret(kube, "app-tls", authority, {"tls.crt": "tls.crt", "tls.key": "tls.key", "ca.crt": "ca.crt"})
    pool = make_pool(read=None, tls={"client": {"secretName": "app-tls", "mode": "require"}})
    verified = (
        f"{pool.dsn()} hostaddr={pool.service_ip()} sslmode=verify-full sslrootcert={authority / 'ca.crt'}"
    )
    with psycopg.connect(f"{verified} host=app-rw.e2e.svc", autocommit=True) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    with pytest.raises(psycopg.OperationalError, match="SSL required"):
        psycopg.connect(f"{pool.dsn()} sslmode=disable")


def test_a_renewed_certificate_is_used_without_a_restart(
    make_pool: MakePool, kube: Kubectl, authority: Path
) -> None:
    names = {"tls.crt": "tls.crt", "tls.key": "tls.key", "ca.crt": "ca.crt"}
    _certificate(authority, "tls", "app-rw.e2e.svc")
    _secret(kube, "app-tls", authority, names)
    pool = make_pool(read=None, tls={"client": {"secretName": "app-tls", "mode": "require"}})
    pods = _pods(pool)
    _certificate(authority, "tls", "renewed.e2e.svc")
    _secret(kube, "app-tls", authority, names)

    def renewed_everywhere() -> bool:
        return all(
            _name_of(pod["status"]["podIP"], authority) == "renewed.e2e.svc" for pod in pool.pods("write")
        )

    eventually("all pods show the new certificate", renewed_everywhere)
    assert _pods(pool) == pods


@pytest.mark.usefixtures("encrypted")
def test_poolers_reach_the_server_by_tls_and_check_its_certificate(
    make_pool: MakePool, database: Postgres, kube: Kubectl, authority: Path
) -> None:
    _secret(kube, "main-ca", authority, {"ca.crt": "ca.crt"})
    pool = make_pool(read=None, tls={"server": {"secretName": "main-ca"}})
    assert pool.query("SELECT pg_is_in_recovery()") == [(False,)]
    used = database.query(
        "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'main-app'"
    )
    assert used == [(True,)]


@pytest.mark.usefixtures("encrypted")
def test_a_server_with_a_certificate_of_somebody_else_is_not_trusted(
    make_pool: MakePool, kube: Kubectl, tmp_path_factory: pytest.TempPathFactory
) -> None:
    stranger = tmp_path_factory.mktemp("stranger")
    _authority(stranger, "stranger")
    _secret(kube, "main-ca", stranger, {"ca.crt": "ca.crt"})
    pool = make_pool(read=None, wait=False, tls={"server": {"secretName": "main-ca"}})
    pool.wait_for("DatabaseReachable", "False", "TLSFailed")


def _pods(pool: Pool) -> list[tuple[str, int]]:
    """Names and restarts."""
    return [
        (pod["metadata"]["name"], pod["status"]["containerStatuses"][0]["restartCount"])
        for pod in pool.pods()
    ]


def _name_of(address: str, authority: Path) -> str:
    """The name in the certificate that a pod shows to a PostgreSQL client."""
    shown = subprocess.run(
        ["openssl", "s_client", "-starttls", "postgres", "-connect", f"{address}:5432"],
        input="", capture_output=True, text=True, check=False, cwd=authority,
    )  # fmt: skip
    subject = next((line for line in shown.stdout.splitlines() if line.startswith("subject=")), "")
    return subject.rpartition("CN")[2].strip(" =")


def _authority(folder: Path, name: str) -> None:
    """ca.crt and ca.key of a CA of its own."""
    _openssl(
        folder, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
        "-keyout", "ca.key", "-out", "ca.crt",
    )  # fmt: skip


def _certificate(authority: Path, name: str, host: str) -> None:
    """<name>.crt and <name>.key for a host, signed by the CA."""
    _openssl(
        authority, "req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={host}",
        "-keyout", f"{name}.key", "-out", f"{name}.csr",
    )  # fmt: skip
    (authority / "san").write_text(f"subjectAltName=DNS:{host}\n")
    _openssl(
        authority, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-days", "2",
        "-extfile", "san", "-out", f"{name}.crt",
    )  # fmt: skip


def _openssl(folder: Path, *args: str) -> None:
    subprocess.run(["openssl", *args], cwd=folder, check=True, capture_output=True)


def _secret(kube: Kubectl, name: str, folder: Path, files: dict[str, str]) -> None:
    data = {key: (folder / file).read_text() for key, file in files.items()}
    kube.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data})
