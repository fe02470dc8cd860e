"""How long until the next acknowledged command when the leader is killed: real processes, an etcd
of one node, one client that repeats its command every 5 ms at whatever node answers."""

import json
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "system"))

from bank_cluster import BankCluster  # noqa: E402
from http_client import CONNECTION_ERRORS  # noqa: E402

PROMISED_SECONDS = 1
GIVE_UP_SECONDS = 60


class OneClient:
    """Deposits into one account, one command after another."""

    def __init__(self, cluster):
        self._client = cluster.client(timeout=3)
        self._number = 0
        self._until_acknowledged("open", {"owner": "Ada", "currency": "EUR", "overdraft_limit": 0})

    def deposit(self):
        """Seconds until it was acknowledged."""
        return self._until_acknowledged("deposit", {"amount": 1})

    def _until_acknowledged(self, command, body):
        self._number += 1
        started = time.monotonic()
        while time.monotonic() < started + GIVE_UP_SECONDS:
            try:
                answer = self._client.command("account", "a", command, body, f"k{self._number}")
                if answer.status == 200:
                    return time.monotonic() - started
            except CONNECTION_ERRORS:
                pass
            time.sleep(0.005)
        raise SystemExit("no command is acknowledged any more")


def main():
    kills = 10 if "--quick" in sys.argv else 30
    with tempfile.TemporaryDirectory() as folder:
        cluster = BankCluster(Path(folder) / "cluster")
        try:
            client = OneClient(cluster.start())
            seconds = []
            for _ in range(kills):
                for _ in range(50):
                    client.deposit()
                server = cluster.nodes[cluster.leader()]
                server.kill()
                seconds.append(client.deposit())
                time.sleep(random.uniform(0, 1))
                server.restart()
                time.sleep(random.uniform(0.5, 1.5))
        finally:
            cluster.close()
    seconds.sort()
    for name, value in [("p50", statistics.median(seconds)),
                        ("p99", seconds[min(len(seconds) - 1, int(len(seconds) * 0.99))])]:
        print(json.dumps({
            "bench": f"failover.{name}", "value": round(value, 4), "unit": "s",
            "limit": PROMISED_SECONDS, "ratio": round(value / PROMISED_SECONDS, 3),
            "notes": f"from kill -9 of the leader to the next acknowledged command, {kills} kills, "
                     f"slowest {seconds[-1]:.3f} s; limit: what is promised of the median"}))


main()
