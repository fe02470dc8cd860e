"""What no client should send: the right status, a body that says what to do, a living server."""

import json
import time

import pytest
from bank_server import SANITIZED
from raw_http import RawConnection, post

DEPOSIT = "/v1/aggregates/account/a/deposit"
QUERY = "/v1/projections/bank/query"


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    """One server for the whole table: it must outlive all of it."""
    from bank_server import BankServer

    server = BankServer(tmp_path_factory.mktemp("malformed")).start()
    opened = server.client().command("account", "a", "open", {
        "owner": "Ada", "currency": "EUR", "overdraft_limit": 0})
    assert opened.status == 200, opened.body
    yield server
    assert server.stop() == 0, server.log()  # under AddressSanitizer a leak is another status
    server.close()


@pytest.fixture(autouse=True)
def unharmed(bank):
    """After each case the server is there, and nothing was written."""
    before = bank.client().ends()
    yield
    assert bank.is_alive(), bank.log()
    client = bank.client()
    assert client.get("/healthz").status == 200
    assert client.ends() == before


def check_problem(status, body, statuses, code=None):
    assert status in statuses, (status, body)
    problem = json.loads(body)
    assert {"type", "title", "status", "detail", "code"} <= problem.keys(), problem
    assert problem["status"] == status and len(problem["detail"]) > 0
    if code:
        assert problem["code"] == code, problem


BODIES = {
    "no JSON": b"deposit 5 please",
    "nothing": b"",
    "cut off": b'{"amount": 5',
    "trailing bytes": b'{"amount": 5} {"amount": 6}',
    "an array": b'[{"amount": 5}]',
    "a number": b"5",
    "null": b"null",
    "no amount": b"{}",
    "amount null": b'{"amount": null}',
    "amount text": b'{"amount": "5"}',
    "amount a float": b'{"amount": 5.5}',
    "amount a whole float": b'{"amount": 5.0}',
    "amount with an exponent": b'{"amount": 5e3}',
    "amount 2^63": b'{"amount": 9223372036854775808}',
    "amount 2^64": b'{"amount": 18446744073709551616}',
    "amount -2^63-1": b'{"amount": -9223372036854775809}',
    "amount of 1,000 digits": b'{"amount": ' + b"9" * 1000 + b"}",
    "NaN": b'{"amount": NaN}',
    "amount twice": b'{"amount": 5, "amount": 6}',
    "an unknown member": b'{"amount": 5, "amuont": 6}',
    "a misspelt member": b'{"Amount": 5}',
    "bad UTF-8": b'{"amount": 5, "reference": "\xff\xfe"}',
    "an overlong form": b'{"amount": 5, "reference": "\xc0\xaf"}',
    "a surrogate": b'{"amount": 5, "reference": "\xed\xa0\x80"}',
    "an escaped lone surrogate": b'{"amount": 5, "reference": "\\ud800"}',
    "a control character": b'{"amount": 5, "reference": "a\nb"}',
    "100,000 brackets": b"[" * 100_000,
    "100,000 braces": b'{"a":' * 100_000,
}


@pytest.mark.parametrize("name", BODIES)
def test_bodies_that_are_no_command(bank, name):
    answer = bank.client().request("POST", DEPOSIT, BODIES[name],
                                   {"Content-Type": "application/json"})
    assert answer.headers["content-type"] == "application/problem+json"
    check_problem(answer.status, answer.body, {400}, "bad-request")


@pytest.mark.parametrize("amount", [0, -1, -2**63])
def test_amounts_the_domain_refuses(bank, amount):
    answer = bank.client().command("account", "a", "deposit", {"amount": amount})
    check_problem(answer.status, answer.body, {409}, "command-rejected")
    assert answer.json()["reason"] == "amount_not_positive"


@pytest.mark.parametrize("method, path, statuses", [
    ("GET", "/", {404}),
    ("GET", "/v1", {404}),
    ("GET", "/v2/topics", {404}),
    ("GET", "/v1/aggregates/account/nobody", {404}),
    ("GET", "/v1/aggregates/spaceship/a", {404}),
    ("POST", "/v1/aggregates/account/a/explode", {404}),
    ("DELETE", "/v1/aggregates/account/a", {405}),
    ("PATCH", "/v1/topics/bank", {405}),
    ("BREW", "/v1/topics", {400, 405, 501}),
    ("GET", DEPOSIT, {405}),
    ("GET", "/v1/topics/nothing", {404}),
    ("GET", "/v1/topics/bank/partitions/7/events", {404}),
    ("GET", "/v1/topics/bank/partitions/x/events", {400, 404}),
    ("GET", "/v1/topics/bank/partitions/-1/events", {400, 404}),
    ("GET", "/v1/topics/bank/partitions/99999999999999999999/events", {400, 404}),
    ("GET", "/v1/topics/bank/partitions/0/events?from=-1", {400}),
    ("GET", "/v1/topics/bank/partitions/0/events?from=x", {400}),
    ("GET", "/v1/topics/bank/partitions/0/events?from=99999999999999999999", {400}),
    ("GET", "/v1/topics/bank/partitions/0/events?limit=0", {400}),
    ("GET", "/v1/topics/bank/partitions/0/events?limit=99999999999999999999", {400}),
    ("GET", "/v1/topics/bank/partitions/0/events?wait_ms=x", {400}),
    ("GET", "/v1/topics/bank/partitions/0/events?nonsense=1", {400}),
    ("GET", "/v1/aggregates/account/a?at=x", {400}),
    ("GET", "/v1/aggregates/account/a?at=0&at_version=1", {400}),
    ("GET", "/v1/aggregates/account/a?at_time=yesterday", {400}),
    ("GET", "/v1/aggregates/account/a?at_time=2024-13-01T00:00:00Z", {400}),
    ("GET", "/v1/aggregates/account/%ff%fe", {400, 404}),
    ("GET", "/v1/aggregates/account/%zz", {400}),
    ("GET", "/v1/aggregates/account/..%2f..%2fetc%2fpasswd", {400, 404}),
    ("GET", "/v1/projections/nothing", {404}),
    ("GET", "/v1/projections/bank/tables/nothing", {404}),
    ("GET", "/v1/projections/bank/tables/sqlite_master", {404}),
    ("GET", "/v1/projections/bank/tables/balances?colour=red", {400}),
    ("GET", "/v1/projections/bank/tables/balances?order=1;drop", {400}),
    ("GET", "/v1/projections/bank/tables/balances?at=0:0,1:0", {400}),
    ("PUT", "/v1/topics/%2e%2e", {400, 404}),
    ("PUT", "/v1/topics/UPPER", {400}),
    ("GET", "/v1/subscriptions", {400, 426}),
])
def test_routes_and_parameters(bank, method, path, statuses):
    answer = bank.client().request(method, path)
    check_problem(answer.status, answer.body, statuses)


@pytest.mark.parametrize("sql", [
    "", "SELEC 1", "SELECT 1; SELECT 2", "DELETE FROM balances", "DROP TABLE balances",
    "INSERT INTO balances VALUES (1)", "UPDATE balances SET balance = 0",
    "ATTACH DATABASE '/tmp/x.db' AS x", "PRAGMA user_version", "PRAGMA table_info(balances)",
    "SELECT * FROM sqlite_master", "SELECT random()", "SELECT datetime('now')",
    "SELECT load_extension('x')", "SELECT readfile('/etc/passwd')", "VACUUM", "BEGIN",
    "EXPLAIN SELECT 1", "SELECT * FROM balances__h", "SELECT ?", "SELECT :name",
    "CREATE TEMP TABLE t(a)", "WITH t AS (SELECT 1) DELETE FROM balances", "SELECT 'a\0b'",
])
def test_sql_that_is_no_single_deterministic_select(bank, sql):
    answer = bank.client().request("POST", QUERY, {"sql": sql, "params": []})
    check_problem(answer.status, answer.body, {400}, "bad-request")


@pytest.mark.parametrize("sql, statuses", [
    ("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
     {400, 413, 503, 504}),
    ("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1000000) "
     "SELECT i FROM n", {413}),
    ("SELECT zeroblob(1000000000)", {400, 413}),
])
def test_sql_without_bounds_is_bounded(bank, sql, statuses):
    started = time.monotonic()
    answer = bank.client(timeout=60).request("POST", QUERY, {"sql": sql, "params": []})
    check_problem(answer.status, answer.body, statuses)
    assert time.monotonic() - started < 20


def test_a_text_over_sqlites_limit_is_null(bank):
    """SQLite's own rule for printf; what counts is that nobody allocates it."""
    answer = bank.client().request("POST", QUERY, {"sql": "SELECT printf('%1000000000d', 1)"})
    assert answer.status == 400 or answer.json()["rows"] == [[None]], answer.body


@pytest.mark.parametrize("body", [
    b"[]", b"{}", b'{"sql": 5}', b'{"sql": "SELECT 1", "params": 5}',
    b'{"sql": "SELECT ?", "params": [[1]]}', b'{"sql": "SELECT 1", "at": -1}',
    b'{"sql": "SELECT 1", "at": "x"}', b'{"sql": "SELECT 1", "at": 1e99}',
    b'{"sql": "SELECT 1", "colour": "red"}', b'{"sql": "SELECT \xff"}',
])
def test_query_bodies(bank, body):
    answer = bank.client().request("POST", QUERY, body, {"Content-Type": "application/json"})
    check_problem(answer.status, answer.body, {400})


def test_another_media_type(bank):
    answer = bank.client().request("POST", DEPOSIT, b"<amount>5</amount>",
                                   {"Content-Type": "application/xml"})
    check_problem(answer.status, answer.body, {415})


@pytest.mark.parametrize("headers, statuses", [
    ({"Idempotency-Key": "k" * 257}, {400, 413}),
    ({"Idempotency-Key": "\xe9"}, {400}),
    ({"Idempotency-Key": ""}, {400}),
    ({"If-Match": "1"}, {400}),
    ({"If-Match": '"x"'}, {400}),
    ({"If-Match": '"99999999999999999999"'}, {400}),
])
def test_headers_of_commands(bank, headers, statuses):
    answer = bank.client().command("account", "a", "deposit", {"amount": 5}, headers=headers)
    check_problem(answer.status, answer.body, statuses)


def test_names_that_are_too_long(bank):
    answer = bank.client().command("account", "x" * 300, "open", {
        "owner": "Ada", "currency": "EUR", "overdraft_limit": 0})
    check_problem(answer.status, answer.body, {400, 413})


def test_a_body_over_the_limit_is_refused_before_it_is_read(bank):
    with RawConnection(bank.port) as raw:
        raw.send(f"POST {DEPOSIT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                 f"Content-Length: {10 << 30}\r\n\r\n".encode())
        check_problem(*raw.read_answer(), {413}, "too-large")


def test_a_body_over_the_limit_in_chunks(bank):
    with RawConnection(bank.port) as raw:
        raw.send(f"POST {DEPOSIT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                 "Transfer-Encoding: chunked\r\n\r\n".encode())
        for _ in range(64):
            raw.send(b"100000\r\n" + b" " * (1 << 20) + b"\r\n")
        check_problem(*raw.read_answer(), {413}, "too-large")


def test_an_event_over_the_limit(bank):
    answer = bank.client().command("account", "a", "deposit",
                                   {"amount": 5, "reference": "r" * (1200 << 10)})
    check_problem(answer.status, answer.body, {400, 413})


def test_a_header_over_the_limit(bank):
    with RawConnection(bank.port) as raw:
        raw.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"x" * (1 << 20) +
                 b"\r\n\r\n")
        check_problem(*raw.read_answer(), {400, 413, 431})


def test_a_hundred_thousand_headers(bank):
    with RawConnection(bank.port) as raw:
        raw.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + b"X-A: b\r\n" * 100_000 +
                 b"\r\n")
        check_problem(*raw.read_answer(), {400, 413, 431})


@pytest.mark.parametrize("data", [
    b"\x00\x01\x02\x03\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
    b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999999\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"
    b"0\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),  # a TLS hello
])
def test_bytes_that_are_no_http(bank, data):
    with RawConnection(bank.port) as raw:
        raw.send(data)
        raw.finish_sending()
        answer = raw.read_answer()
        assert answer is None or 400 <= answer[0] < 600, answer
        assert raw.is_closed_by_server()


def test_half_a_request_then_nothing(bank):
    for cut in (10, 60, 120, len(post(DEPOSIT, b'{"amount": 5}')) - 1):
        with RawConnection(bank.port) as raw:
            raw.send(post(DEPOSIT, b'{"amount": 5}')[:cut])
        # Gone without a word: `unharmed` sees that nothing was written.


def test_slow_clients_delay_nobody(bank):
    slow = [RawConnection(bank.port) for _ in range(100)]
    try:
        for connection in slow:
            connection.send(b"POST /v1/aggregates/acc")
        started = time.monotonic()
        for _ in range(50):
            assert bank.client().get("/healthz").status == 200
        assert time.monotonic() - started < 5
    finally:
        for connection in slow:
            connection.__exit__()


def test_a_client_that_never_finishes_is_cut_off(start_bank):
    server = start_bank(arguments=["--header-timeout", "1"])
    with RawConnection(server.port, timeout=20) as raw:
        raw.send(b"POST /v1/aggregates/acc")
        answer = raw.read_answer()
        assert answer is None or answer[0] == 408
        assert raw.is_closed_by_server()


def test_pipelined_requests_are_answered_in_order(bank):
    with RawConnection(bank.port) as raw:
        raw.send(b"".join(f"GET /v1/topics/{name} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
                          for name in ["bank", "nothing", "bank", "UPPER"] * 25))
        statuses = [raw.read_answer()[0] for _ in range(100)]
    assert statuses[:4] == [200, 404, 200, statuses[3]] and statuses == statuses[:4] * 25


def test_memory_after_a_storm(bank):
    """A thousand bad requests and connections cut short leave nothing allocated."""
    client = bank.client()

    def storm():
        for i in range(500):
            client.request("POST", DEPOSIT, list(BODIES.values())[i % len(BODIES)],
                           {"Content-Type": "application/json"})
            with RawConnection(bank.port) as raw:
                raw.send(b"GET /v1/topics HTTP/1.1\r\n")

    storm()
    before = bank.anonymous_memory_bytes()
    storm()
    if not SANITIZED:  # a sanitizer keeps what was freed
        assert bank.anonymous_memory_bytes() - before < 16 << 20
