"""A network of its own for each node of a cluster, on this machine, in which others can be cut off.
For root."""

import contextlib
import os
import random
import subprocess


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


class NodeNetworks:
    """Namespaces joined by a bridge; this machine is on it too. Nothing of it can be reached from
    another machine."""

    def __init__(self, nodes):
        tag = f"{random.randrange(1 << 16):04x}"
        third = random.randrange(256)
        self._bridge = f"kb{tag}"
        self._spaces = {node: f"kn{tag}-{node}" for node in nodes}
        self.host = f"10.77.{third}.1"
        self.hosts = {node: f"10.77.{third}.{10 + node}" for node in nodes}
        try:
            ip("link", "add", self._bridge, "type", "bridge")
            ip("address", "add", f"{self.host}/24", "dev", self._bridge)
            ip("link", "set", self._bridge, "up")
            for node, space in self._spaces.items():
                outside = f"kv{tag}-{node}"
                ip("netns", "add", space)
                ip("link", "add", outside, "type", "veth", "peer", "name", "eth0", "netns", space)
                ip("link", "set", outside, "master", self._bridge, "up")
                self._ip_in(node, "address", "add", f"{self.hosts[node]}/24", "dev", "eth0")
                self._ip_in(node, "link", "set", "eth0", "up")
                self._ip_in(node, "link", "set", "lo", "up")
        except BaseException:
            self.close()
            raise

    @staticmethod
    def why_not():
        """Why there can be none here, or None."""
        if os.geteuid() != 0:
            return "network namespaces need root"
        try:
            NodeNetworks([1]).close()
        except (OSError, subprocess.CalledProcessError) as error:
            return f"no network namespaces here: {getattr(error, 'stderr', '') or error}"
        return None

    def within(self, node):
        """What runs a command there. It becomes that command, so that signals reach it."""
        return ["ip", "netns", "exec", self._spaces[node]]

    def cut(self, node, others):
        """What `node` sends to `others` gets lost. One way only."""
        for other in others:
            self._ip_in(node, "route", "add", "blackhole", f"{self.hosts[other]}/32")

    def heal(self, node, others):
        for other in others:
            self._ip_in(node, "route", "del", "blackhole", f"{self.hosts[other]}/32")

    def _ip_in(self, node, *arguments):
        ip("-n", self._spaces[node], *arguments)

    def close(self):
        with contextlib.suppress(subprocess.CalledProcessError):
            ip("link", "del", self._bridge)
        for space in self._spaces.values():
            with contextlib.suppress(subprocess.CalledProcessError):
                ip("netns", "del", space)
