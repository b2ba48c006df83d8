import pytest
from pydantic import ValidationError

from pgpool_pooler.engines.pgbouncer.parameters import NEEDS_RESTART, PgBouncerParameters


def test_what_is_set_becomes_values_for_pgbouncer_ini() -> None:
    parameters = PgBouncerParameters(
        max_client_conn=200,
        tcp_keepalive=False,
        log_stats=True,
        ignore_startup_parameters="options, search_path",
    )
    assert parameters.settings() == {
        "max_client_conn": "200",
        "tcp_keepalive": "0",
        "log_stats": "1",
        "ignore_startup_parameters": "options, search_path",
    }


def test_5000_clients_per_pod_are_let_in_if_nothing_is_set() -> None:
    assert PgBouncerParameters().settings() == {"max_client_conn": "5000"}


@pytest.mark.parametrize(
    "text", ["options\nauth_type=any", "options\n", "a;b", "a b", "", "a,,b", "options,", "auth = any"]
)
@pytest.mark.parametrize("name", ["ignore_startup_parameters", "track_extra_parameters"])
def test_a_list_of_names_cannot_smuggle_in_another_setting(name: str, text: str) -> None:
    with pytest.raises(ValidationError):
        PgBouncerParameters.model_validate({name: text})


def test_no_size_time_user_certificate_file_or_address_can_be_set() -> None:
    decided_elsewhere = {
        *(
            "default_pool_size",
            "min_pool_size",
            "reserve_pool_size",
            "max_db_connections",
            "max_user_connections",
        ),
        *("server_connect_timeout", "client_login_timeout", "query_wait_timeout", "query_timeout"),
        *("idle_transaction_timeout", "client_idle_timeout", "tcp_user_timeout", "server_login_retry"),
        *("auth_type", "auth_file", "auth_query", "admin_users", "client_tls_sslmode", "server_tls_ca_file"),
        *("listen_addr", "listen_port", "unix_socket_dir", "logfile", "syslog", "pidfile", "resolv_conf"),
        *("so_reuseport", "peer_id", "pool_mode", "server_reset_query", "server_check_query"),
    }
    assert not decided_elsewhere & set(PgBouncerParameters.model_fields)


@pytest.mark.parametrize("name", ["server_reset_query_always", "disable_pqexec"])
def test_a_setting_that_would_break_the_product_cannot_be_set(name: str) -> None:
    assert name not in PgBouncerParameters.model_fields


def test_settings_that_need_a_restart_say_so_in_their_description() -> None:
    restarting = {
        name
        for name, field in PgBouncerParameters.model_fields.items()
        if "restarts the engine" in (field.description or "")
    }
    assert restarting == NEEDS_RESTART
