"""An etcd that believes nobody without a certificate and a password."""

import json
import ssl
import subprocess
import urllib.request
from base64 import b64encode
from pathlib import Path

USER = "keelson"
PASSWORD = "a password of the bank"
TOKEN_SECONDS = 1


class EtcdSecurity:
    """Certificates of an authority of its own, under `folder`; what etcd and nodes are told of
    them."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True)
        self.authority = self.make_authority("authority")
        self.sign("authority", "etcd")
        self.sign("authority", "node")
        self.password_file = self.write("password", PASSWORD)

    def write(self, name, text):
        path = self.folder / name
        path.write_text(text + "\n")
        return path

    def make_authority(self, name):
        certificate = self.folder / f"{name}.pem"
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                      "-nodes", "-days", "2", "-subj", f"/CN={name}",
                      "-keyout", self.folder / f"{name}.key", "-out", certificate)
        return certificate

    def sign(self, authority, name):
        """Without a common name: etcd would take it for a user's, and refuse it here."""
        at = self.folder / name
        extensions = self.write(f"{name}.ext", "subjectAltName=IP:127.0.0.1,DNS:localhost\n"
                                               "extendedKeyUsage=serverAuth,clientAuth")
        self._openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                      "-subj", f"/O={name}", "-keyout", f"{at}.key", "-out", f"{at}.csr")
        self._openssl("x509", "-req", "-days", "2", "-CAcreateserial",
                      "-CA", self.folder / f"{authority}.pem",
                      "-CAkey", self.folder / f"{authority}.key",
                      "-in", f"{at}.csr", "-extfile", extensions, "-out", f"{at}.pem")

    def _openssl(self, *arguments):
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)

    def etcd_arguments(self):
        return [f"--cert-file={self.folder}/etcd.pem", f"--key-file={self.folder}/etcd.key",
                "--client-cert-auth", f"--trusted-ca-file={self.authority}",
                f"--auth-token-ttl={TOKEN_SECONDS}"]

    def node_arguments(self):
        return ["--etcd-ca", str(self.authority), "--etcd-cert", f"{self.folder}/node.pem",
                "--etcd-key", f"{self.folder}/node.key", "--etcd-user", USER,
                "--etcd-password-file", str(self.password_file)]

    def context(self):
        context = ssl.create_default_context(cafile=self.authority)
        context.load_cert_chain(self.folder / "node.pem", self.folder / "node.key")
        return context

    def ask_for_passwords(self, url, prefix):
        """From now on; `USER` may do everything below `prefix`, and nothing else."""
        def call(path, **body):
            request = urllib.request.Request(url + path, json.dumps(body).encode())
            with urllib.request.urlopen(request, timeout=10, context=self.context()) as answer:
                return json.load(answer)

        def text(value):
            return b64encode(value.encode()).decode()

        end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
        call("/v3/auth/user/add", name="root", password="root's")
        call("/v3/auth/user/grant", user="root", role="root")
        call("/v3/auth/role/add", name="cluster")
        call("/v3/auth/role/grant", name="cluster", perm={
            "permType": "READWRITE", "key": text(prefix), "range_end": text(end)})
        call("/v3/auth/user/add", name=USER, password=PASSWORD)
        call("/v3/auth/user/grant", user=USER, role="cluster")
        call("/v3/auth/enable")
