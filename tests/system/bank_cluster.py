"""Banks that are nodes of one cluster, and the etcd between them: all real, all on this machine."""

import contextlib
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from pathlib import Path

from bank_server import BINARY, KEELSON, BankServer, free_port
from http_client import CONNECTION_ERRORS, Client

READY_SECONDS_MAX = 60


class EtcdServers:
    """An etcd of one or three nodes. `security`: an EtcdSecurity, or None for plain HTTP."""

    def __init__(self, folder, nodes=1, host="127.0.0.1", security=None):
        self._folder = Path(folder)
        self._folder.mkdir(parents=True)
        self._security = security
        scheme = "https" if security else "http"
        self._clients = [f"{scheme}://{host}:{free_port()}" for _ in range(nodes)]
        self._peers = [f"http://127.0.0.1:{free_port()}" for _ in range(nodes)]
        self._processes = [None] * nodes
        for node in range(nodes):
            self.start(node)
        self.wait_ready()
        if security:
            security.ask_for_passwords(self._clients[0], "/keelson/test/")

    @property
    def urls(self):
        return ",".join(self._clients)

    def start(self, node):
        names = [f"e{i}={peer}" for i, peer in enumerate(self._peers)]
        with open(self._folder / f"e{node}.log", "ab") as log:
            self._processes[node] = subprocess.Popen(
                ["etcd", f"--name=e{node}", f"--data-dir={self._folder}/e{node}",
                 f"--listen-client-urls={self._clients[node]}",
                 f"--advertise-client-urls={self._clients[node]}",
                 f"--listen-peer-urls={self._peers[node]}",
                 f"--initial-advertise-peer-urls={self._peers[node]}",
                 f"--initial-cluster={','.join(names)}", "--logger=zap",
                 *(self._security.etcd_arguments() if self._security else ())],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def kill(self, node):
        self._processes[node].kill()
        self._processes[node].wait()

    def restart(self):
        for node, process in enumerate(self._processes):
            self.kill(node)
            self.start(node)
        self.wait_ready()

    def wipe(self):
        """All that it held is gone; at the same addresses there is an empty one."""
        for node, process in enumerate(self._processes):
            self.kill(node)
            shutil.rmtree(self._folder / f"e{node}")
            self.start(node)
        self.wait_ready()

    def save(self, name):
        """A copy of all that it holds now, of one node."""
        self.kill(0)
        shutil.copytree(self._folder / "e0", self._folder / name)
        self.start(0)
        self.wait_ready()

    def restore(self, name):
        """It goes back to what it held then."""
        self.kill(0)
        shutil.rmtree(self._folder / "e0")
        shutil.copytree(self._folder / name, self._folder / "e0")
        self.start(0)
        self.wait_ready()

    def wait_ready(self):
        deadline = time.monotonic() + READY_SECONDS_MAX
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                with urllib.request.urlopen(
                        self._clients[0] + "/health", timeout=1,
                        context=self._security and self._security.context()) as answer:
                    if b"true" in answer.read():
                        return
            time.sleep(0.05)
        raise AssertionError("etcd is not ready")

    def close(self):
        for process in self._processes:
            process.kill()
            process.wait()


class ClusterClient:
    """A client that knows every node: goes where it is sent, and on to the next one when one does
    not answer. Not thread-safe."""

    REDIRECTS_MAX = 5

    def __init__(self, servers, timeout=10):
        self._timeout = timeout
        self._clients = {s.port: Client(s.port, timeout, s.host) for s in servers}
        self._ports = list(self._clients)
        self._port = self._ports[0]

    def close(self):
        for client in self._clients.values():
            client.close()

    def request(self, method, path, body=None, headers=None):
        """Raises one of CONNECTION_ERRORS when the node does not answer; the next call asks
        another."""
        for _ in range(self.REDIRECTS_MAX):
            try:
                answer = self._clients[self._port].request(method, path, body, headers)
            except CONNECTION_ERRORS:
                self._next()
                raise
            if answer.status != 307:
                if answer.status in (503, 504):
                    self._next()
                return answer
            self._go_to(urllib.parse.urlsplit(answer.headers["location"]))
        return answer

    def command(self, aggregate, id, command, body, key=None):
        headers = {} if key is None else {"Idempotency-Key": key}
        return self.request("POST", f"/v1/aggregates/{aggregate}/{id}/{command}", body, headers)

    def until_done(self, method, path, body=None, headers=None):
        """The answer 200, asked for again while nobody can give one."""
        deadline = time.monotonic() + READY_SECONDS_MAX
        while True:
            with contextlib.suppress(*CONNECTION_ERRORS):
                answer = self.request(method, path, body, headers)
                if answer.status == 200:
                    return answer
                assert answer.status in (307, 503, 504), (path, answer.status, answer.body)
            assert time.monotonic() < deadline, path
            time.sleep(0.02)

    def get_json(self, path):
        """What the leader of what is read knows."""
        return self.until_done("GET", path + "?consistency=linearizable").json()

    def _go_to(self, address):
        self._port = address.port
        if self._port not in self._clients:  # one that has come since
            self._ports.append(self._port)
            self._clients[self._port] = Client(address.port, self._timeout, address.hostname)

    def _next(self):
        self._port = self._ports[(self._ports.index(self._port) + 1) % len(self._ports)]


class BankCluster:
    """Nodes 1, 2, …; what is theirs lies under `folder`, or where `folders` says. `networks`: where
    each of them runs, if not beside this process."""

    def __init__(self, folder, nodes=3, etcd_nodes=1, partitions=1, arguments=(), networks=None,
                 replicas=None, spread=False, security=None, folders=()):
        folder = Path(folder)
        self.networks = networks
        self.etcd = EtcdServers(folder / "etcd", etcd_nodes,
                                networks.host if networks else "127.0.0.1", security)
        if security:
            arguments = [*arguments, *security.node_arguments()]
        self.partitions = partitions
        self._replicas = replicas or min(nodes, 3)
        self._spread = spread
        self._arguments = ["--replicas", str(self._replicas), *arguments]
        self._copies = []
        self.nodes = {}
        for node in range(1, nodes + 1):
            self.nodes[node] = self._make(dict(folders).get(node, folder / f"n{node}"), node)

    def _make(self, folder, node):
        host = self.networks.hosts[node] if self.networks else "127.0.0.1"
        cluster = ["--cluster", "test", "--node-id", str(node), "--etcd", self.etcd.urls,
                   "--advertise", f"{host}:{free_port()}", *self._arguments]
        return BankServer(folder, self.partitions, cluster, folder.with_suffix(".log"), host,
                          self.networks.within(node) if self.networks else ())

    def copy_of(self, node):
        """The same node on a copy of its folder as it is now, as if on another machine."""
        original = self.nodes[node].folder
        folder = original.with_name(f"{original.name}-copy{len(self._copies)}")
        shutil.copytree(original, folder)
        self._copies.append(self._make(folder, node))
        return self._copies[-1]

    def move_to_another_port(self, node):
        """Of a node that is stopped: clients reach it there from its next start on."""
        self.nodes[node] = self._make(self.nodes[node].folder, node)

    def start(self):
        if self._spread:
            self._spread = False
            self._make_topic()
        self._start_all(BINARY)
        return self

    def _start_all(self, binary):
        for server in self.nodes.values():
            server.start_without_waiting(binary)
        for server in self.nodes.values():
            server.wait_ready(time.monotonic())

    def _make_topic(self):
        """When all nodes are there, so that its partitions are spread over all of them: a bank
        makes its topic as soon as there are enough."""
        self._start_all(KEELSON)
        client = self.nodes[1].client()
        deadline = time.monotonic() + READY_SECONDS_MAX
        while sum(n["alive"] for n in client.get_json("/v1/cluster")["nodes"]) < len(self.nodes):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        made = client.request("PUT", "/v1/topics/bank", {
            "partitions": self.partitions, "replication_factor": self._replicas})
        assert made.status == 201, made.body
        for server in self.nodes.values():
            server.signal_stop()
        for server in self.nodes.values():
            assert server.wait() == 0, server.log()

    def replace_disk(self, node):
        """The node starts with an empty folder: it is a new member."""
        server = self.nodes[node]
        server.kill()
        shutil.rmtree(server.folder / "data")
        server.start_without_waiting()

    def start_dead(self):
        """Those that do not run."""
        for server in self.nodes.values():
            if not server.is_alive():
                server.restart()

    def client(self, timeout=10):
        return ClusterClient(self.nodes.values(), timeout)

    def _known_by(self, server):
        """Partitions of each topic by its name, as this node knows them: one that has just been
        started knows none."""
        client = Client(server.port, timeout=5, host=server.host)
        known = client.get_json("/v1/cluster")["topics"]
        client.close()
        return {topic["name"]: topic["partitions"] for topic in known}

    def topics(self, timeout=30):
        """Their names, when all nodes that run know the same ones."""
        deadline = time.monotonic() + timeout
        while True:
            known = [set(self._known_by(s)) for s in self.nodes.values() if s.is_alive()]
            if known[0] and all(names == known[0] for names in known):
                return sorted(known[0])
            assert time.monotonic() < deadline, known
            time.sleep(0.05)

    def replicas(self, topic="bank", timeout=30):
        """The nodes of each partition, as one that runs knows them."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            for server in self.nodes.values():
                if not server.is_alive():
                    continue
                with contextlib.suppress(*CONNECTION_ERRORS):
                    if partitions := self._known_by(server).get(topic):
                        return {p["partition"]: [r["node"] for r in p["replicas"]]
                                for p in partitions}
            time.sleep(0.05)
        raise AssertionError(f"no node knows {topic}")

    def leader(self, partition=0, timeout=10, topic="bank"):
        """The node that leads now, once some node knows one that answers to it."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            for node, server in self.nodes.items():
                if not server.is_alive():
                    continue
                with contextlib.suppress(*CONNECTION_ERRORS):
                    client = Client(server.port, timeout=2, host=server.host)
                    described = client.get_json(f"/v1/topics/{topic}")
                    client.close()
                    leader = described["partitions"][partition].get("leader")
                    for candidate, other in self.nodes.items():
                        if leader == f"{other.host}:{other.port}" and other.is_alive():
                            return candidate
            time.sleep(0.02)
        raise AssertionError("no node knows a leader")

    def close(self):
        with contextlib.ExitStack() as ending:
            ending.callback(self.etcd.close)
            for server in [*self.nodes.values(), *self._copies]:
                ending.callback(server.close)

    def logs(self):
        return "\n".join(f"--- node {node}\n{server.log()}" for node, server in self.nodes.items())
