"""One command id, one effect, one answer: repeated, raced, refused, and after a restart."""

import threading

from load import assert_log_holds, run_load

CLIENTS = 64


def open_account(client, id, overdraft_limit=0):
    answer = client.command("account", id, "open", {"owner": "Ada", "currency": "EUR",
                                                    "overdraft_limit": overdraft_limit})
    assert answer.status == 200, answer.body


def test_a_repeated_load_is_answered_by_its_first_outcomes(start_bank, transactions):
    server = start_bank(partitions=4)
    some = transactions.first(3000)
    first = run_load(server.port, some)
    events = assert_log_holds(server.client(), first)
    again = run_load(server.port, some)
    assert again.keys() == first.keys()
    for key, acknowledged in again.items():
        assert acknowledged.replayed and not first[key].replayed
        assert acknowledged.answer == first[key].answer
    server.stop()
    server.restart()
    after = run_load(server.port, some)
    assert {key: a.answer for key, a in after.items()} == {k: a.answer for k, a in first.items()}
    assert server.client().all_events() == events


def test_an_id_with_another_body_command_or_account(start_bank):
    server = start_bank()
    client = server.client()
    open_account(client, "a")
    open_account(client, "b")
    assert client.command("account", "a", "deposit", {"amount": 5}, "k1").status == 200
    for body, command in [({"amount": 6}, "deposit"), ({"amount": 5}, "withdraw"),
                          ({"amount": 5, "reference": "x"}, "deposit")]:
        answer = client.command("account", "a", command, body, "k1")
        assert answer.status == 422, (body, command, answer.body)
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["code"] == "idempotency-mismatch"
    # An id belongs to the stream it addresses: another account may use the same one.
    answer = client.command("account", "b", "deposit", {"amount": 5}, "k1")
    assert answer.status == 200 and not answer.replayed
    assert client.get_json("/v1/aggregates/account/a")["state"]["balance"] == 5


def test_64_clients_with_one_id_see_one_effect(start_bank):
    server = start_bank(partitions=4)
    open_account(server.client(), "a")
    barrier = threading.Barrier(CLIENTS)
    answers = []

    def send():
        client = server.client()
        client.get("/healthz")  # connected before the race
        barrier.wait()
        answers.append(client.command("account", "a", "deposit", {"amount": 7}, "once"))

    threads = [threading.Thread(target=send) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == CLIENTS and {a.status for a in answers} == {200}
    assert len({a.body for a in answers}) == 1, "64 answers, and not all the same"
    assert sum(not a.replayed for a in answers) == 1
    assert server.client().get_json("/v1/aggregates/account/a")["state"]["balance"] == 7


def test_a_refusal_is_an_outcome_too(start_bank):
    server = start_bank()
    client = server.client()
    open_account(client, "a")
    first = client.command("account", "a", "withdraw", {"amount": 5}, "w1")
    assert first.status == 409 and first.json()["code"] == "command-rejected"
    assert first.json()["reason"] == "insufficient_funds"
    assert client.command("account", "a", "deposit", {"amount": 100}, "d1").status == 200
    server.kill()
    server.restart()
    client = server.client()
    again = client.command("account", "a", "withdraw", {"amount": 5}, "w1")
    assert (again.status, again.json()) == (409, first.json()) and again.replayed
    assert client.command("account", "a", "withdraw", {"amount": 5}, "w2").status == 200


def test_refusals_of_an_account(start_bank):
    client = start_bank().client()

    def reason(command, body):
        answer = client.command("account", "x", command, body)
        assert answer.status == 409, answer.body
        return answer.json()["reason"]

    owner = {"owner": "Ada", "currency": "EUR", "overdraft_limit": None}
    most = 2**63 - 1
    assert reason("deposit", {"amount": 1}) == "not_open"
    assert client.command("account", "x", "open", owner).status == 200
    assert reason("open", owner) == "already_open"
    assert reason("deposit", {"amount": 0}) == "amount_not_positive"
    assert reason("deposit", {"amount": -1}) == "amount_not_positive"
    assert client.command("account", "x", "deposit", {"amount": most}).status == 200
    assert reason("deposit", {"amount": 1}) == "overflow"
    assert client.get_json("/v1/aggregates/account/x")["state"]["balance"] == most
    assert reason("close", {}) == "balance_not_zero"
    assert client.command("account", "x", "withdraw", {"amount": most}).status == 200
    assert client.command("account", "x", "close", {}).status == 200
    assert reason("deposit", {"amount": 1}) == "closed"


def test_expected_versions(start_bank):
    client = start_bank().client()
    open_account(client, "a")
    two = {"amount": 2}
    assert client.command("account", "a", "deposit", two, headers={"If-Match": '"1"'}).status == 200
    answer = client.command("account", "a", "deposit", two, headers={"If-Match": '"1"'})
    assert answer.status == 412 and answer.json()["code"] == "version-conflict"
    assert str(answer.json()["expected"]) == "1" and answer.json()["current"] == 2
    state = client.get("/v1/aggregates/account/a")
    assert state.json()["version"] == 2 and state.json()["state"]["balance"] == 2


def test_a_batch_of_commands_answers_each(start_bank):
    client = start_bank(partitions=4).client()
    commands = [
        {"type": "account", "id": "a", "command": "open", "key": "k1",
         "data": {"owner": "Ada", "currency": "EUR", "overdraft_limit": 0}},
        {"type": "account", "id": "a", "command": "withdraw", "key": "k2", "data": {"amount": 1}},
        {"type": "account", "id": "a", "command": "deposit", "key": "k3", "data": {"amount": 3}},
        {"type": "nothing", "id": "a", "command": "deposit", "key": "k4", "data": {}},
    ]
    outcomes = client.request("POST", "/v1/commands", commands).json()
    assert [o["outcome"] for o in outcomes] == ["accepted", "rejected", "accepted", "error"]
    assert [o["status"] for o in outcomes] == [200, 409, 200, 404]
    assert outcomes[1]["reason"] == "insufficient_funds"
    again = client.request("POST", "/v1/commands", commands).json()
    assert [(o.get("offset"), o.get("version")) for o in again] == [
        (o.get("offset"), o.get("version")) for o in outcomes]
    assert client.get_json("/v1/aggregates/account/a")["version"] == 2
