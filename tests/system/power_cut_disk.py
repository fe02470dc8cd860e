"""A disk whose power can be cut: what was written and not flushed may be lost, in any part.

`PowerCutDisk` is an ext4 on a loop device, whose bytes are held by a process of our own
(cached_disk.py). The kernel sends it every write of the device and, for each flush, which is how
fdatasync reaches a disk, an fsync. So it knows what a disk with a volatile cache has promised to
keep: all that was written before the last flush. `cut` gives the disk as a power cut leaves it,
between a write and the next: all of that, and of each later write some sectors or none, by chance.
"""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cached_disk import FILE_NAME
from small_disk import Disk, make_ext4, mount_image, needs_mounts, run

PROGRAM = Path(__file__).with_name("cached_disk.py")


class PowerCutDisk(Disk):
    """Mounted at `folder`, until `close`."""

    def __init__(self, place, mib=96):
        needs_mounts()
        if not os.path.exists("/dev/fuse"):
            pytest.skip("a disk whose power can be cut needs /dev/fuse, which this machine has not")
        self._place = Path(place)
        self._ending = contextlib.ExitStack()
        self._cuts = 0
        try:
            self._open(mib)
        except BaseException:
            self._ending.close()
            raise

    def _open(self, mib):
        image = self._place / "image"
        self._place.mkdir(parents=True)
        make_ext4(image, mib)
        fuse = self._place / "fuse"
        fuse.mkdir()
        self._server = subprocess.Popen([sys.executable, "-B", PROGRAM, image, fuse],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._ending.callback(self._end_server)
        if self._answer() != "mounted":
            pytest.skip("this machine does not let tests mount FUSE")
        self._ending.callback(run, "umount", "--lazy", fuse)
        self.folder = self._place / "mounted"
        self._ending.enter_context(mount_image(fuse / FILE_NAME.decode(), self.folder))

    def _answer(self):
        return self._server.stdout.readline().strip()

    def _end_server(self):
        self._server.stdin.close()
        try:
            self._server.wait(timeout=30)
        finally:
            self._server.kill()
            self._server.wait()

    def close(self):
        self._ending.close()

    def cut(self, dice):
        """Cuts the power at one of the next writes, and returns right after that: a `PowerCut`, to
        be looked at before the next. This disk goes on."""
        self._cuts += 1
        image = self._place / f"cut{self._cuts}"
        self._server.stdin.write(f"{image} {dice.randrange(1 << 32)}\n")
        self._server.stdin.flush()
        assert self._answer() == "cut"
        return PowerCut(image, self._answer)


class PowerCut:
    """The disk that a power cut has left."""

    def __init__(self, image, answer):
        self._image = image
        self._answer = answer
        self.lost_sectors = None  # of those that were not flushed
        self.unflushed_sectors = None

    @contextlib.contextmanager
    def mounted(self):
        """Its folder."""
        self.lost_sectors, self.unflushed_sectors = map(int, self._answer().split())
        folder = self._image.with_suffix(".mounted")
        with mount_image(self._image, folder):
            yield folder
        self._image.unlink()
