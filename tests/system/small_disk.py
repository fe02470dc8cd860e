"""Disks of the tests' own: small ext4 file systems on loop devices. Where a machine does not let
tests have them, the test is skipped and says so."""

import contextlib
import ctypes
import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest


CLONE_NEWNS = 0x00020000


def run(*command):
    """What it printed; fails with what it complained."""
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout.strip()


def make_ext4(image, mib):
    """With blocks of 4 KiB, as real disks have. Complete at once: nothing is left to a kernel
    thread that writes later, on its own."""
    with open(image, "wb") as file:
        file.truncate(mib << 20)
    run("mkfs.ext4", "-q", "-F", "-b", "4096", "-m", "0", "-E",
        "lazy_itable_init=0,lazy_journal_init=0,nodiscard", image)


@contextlib.contextmanager
def mount_image(image, folder):
    """`image` mounted at `folder`, over a loop device that goes with the mount."""
    Path(folder).mkdir(exist_ok=True)
    run("mount", "-t", "ext4", "-o", "loop", image, folder)
    try:
        yield folder
    finally:
        # Lazily: after a failed test a server may still be using it.
        run("umount", "--lazy", folder)


@functools.cache
def _why_no_mounts():
    if os.geteuid() != 0:
        return "not root"
    if shutil.which("mkfs.ext4") is None:
        return "no mkfs.ext4"
    # What is mounted from now on only this process and its children see, and it goes with them.
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS) != 0:
        return f"unshare: {os.strerror(ctypes.get_errno())}"
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "image"
        make_ext4(image, 8)
        try:
            run("mount", "--make-rprivate", "/")
            with mount_image(image, Path(folder) / "mounted"):
                return None
        except AssertionError as error:
            return str(error)


def needs_mounts():
    """Skips the test where a file cannot be mounted as a disk. To be called in the main thread,
    before there are others: those made later have the mounts as well."""
    why = _why_no_mounts()
    if why is not None:
        pytest.skip(f"a disk of the test's own needs root and loop devices: {why}")


class Disk:
    """Something mounted at `folder`."""

    folder: Path

    def free_bytes(self):
        return shutil.disk_usage(self.folder).free


class SmallDisk(Disk):
    """An ext4 of `mib` MiB, of which a ballast file can take what is free."""

    def __init__(self, place, mib=64):
        needs_mounts()
        self._place = Path(place)
        self._place.mkdir(parents=True)
        make_ext4(self._place / "image", mib)
        self._ending = contextlib.ExitStack()
        self.folder = self._place / "mounted"
        self._ending.enter_context(mount_image(self._place / "image", self.folder))
        self._ballast = self.folder / "ballast"

    def leave(self, free_bytes):
        """Takes all but `free_bytes` of what is free, in place of what was taken before."""
        self.make_room()
        taken = self.free_bytes() - free_bytes
        assert taken > 0, f"{self.free_bytes()} bytes are free"
        with open(self._ballast, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, taken)
            os.fsync(file.fileno())

    def fill(self):
        """Takes all there is, to the last block that ext4 gives away."""
        size = 1 << 20
        with open(self.folder / f"more-{os.urandom(4).hex()}", "wb") as file:
            position = 0
            while size >= 4096:
                try:
                    os.posix_fallocate(file.fileno(), position, size)
                    position += size
                except OSError:
                    size //= 2
            os.fsync(file.fileno())

    def make_room(self):
        """Removes all ballast."""
        for file in [self._ballast, *self.folder.glob("more-*")]:
            file.unlink(missing_ok=True)

    def close(self):
        self._ending.close()
