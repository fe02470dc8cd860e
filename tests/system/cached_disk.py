"""The process behind PowerCutDisk (power_cut_disk.py): a FUSE file system with one file that knows
what of it is flushed. It speaks to /dev/fuse directly, so that no package is needed.

    cached_disk.py IMAGE FOLDER

mounts it, says `mounted`, and then takes commands, a line each: `PATH SEED` cuts the power, says
`cut` at that moment, writes to PATH the disk that this leaves, and answers how many unflushed
sectors it lost, and of how many.
"""

import ctypes
import errno
import os
import random
import stat
import struct
import sys
import threading
from pathlib import Path

SECTOR_BYTES = 512  # what a disk writes as a whole
FILE_NAME = b"disk"
WRITES_TO_CUT_MAX = 12
QUIET_SECONDS = 0.3


class CachedImage:
    """The bytes of the disk: as they are read, as they are durable, and the writes between."""

    def __init__(self, image):
        self.seen = bytearray(Path(image).read_bytes())
        self._durable = bytearray(self.seen)
        self._unflushed = []
        self._lock = threading.Lock()
        self._cut_made = threading.Condition(self._lock)
        self._writes_to_cut = 0  # 0: no cut is asked for
        self._left = None  # by the cut: what is durable, and unflushed writes

    def write(self, position, data):
        with self._lock:
            self.seen[position:position + len(data)] = data
            self._unflushed.append((position, data))
            if self._writes_to_cut > 0:
                self._writes_to_cut -= 1
                if self._writes_to_cut == 0:
                    self._cut()

    def flush(self):
        with self._lock:
            for position, data in self._unflushed:
                self._durable[position:position + len(data)] = data
            self._unflushed.clear()

    def _cut(self):
        self._left = bytearray(self._durable), list(self._unflushed)
        self._cut_made.notify()

    def cut(self, dice):
        """What a power cut leaves, right after one of the next writes: at another moment mostly all
        is flushed. Returns (bytes that are durable, unflushed writes)."""
        with self._lock:
            self._writes_to_cut = dice.randint(1, WRITES_TO_CUT_MAX)
            if not self._cut_made.wait_for(lambda: self._left is not None, QUIET_SECONDS):
                self._cut()  # nothing is being written
            left, self._left = self._left, None
            self._writes_to_cut = 0
        return left


def keep_some(left, unflushed, dice):
    """Of unflushed writes any sectors. Returns (lost, all) of them."""
    lost = count = 0
    # Sometimes all of the cache is lost, sometimes nothing.
    share = dice.choice([0, 0.1, 0.5, 0.9, 1])
    for position, data in unflushed:
        for first in range(0, len(data), SECTOR_BYTES):
            count += 1
            if dice.random() < share:
                sector = data[first:first + SECTOR_BYTES]
                left[position + first:position + first + len(sector)] = sector
            else:
                lost += 1
    return lost, count


class FuseFile:
    """Serves `image` as the file `disk` of a folder: the protocol of linux/fuse.h, version 7.31, as
    far as a loop device uses it."""

    ROOT, FILE = 1, 2
    REQUEST = struct.Struct("<IIQQIIII")  # len opcode unique node uid gid pid padding
    WRITE_BYTES_MAX = 128 * 1024
    FOPEN_DIRECT_IO = 1

    def __init__(self, image, folder):
        self._image = image
        self._fd = os.open("/dev/fuse", os.O_RDWR)
        libc = ctypes.CDLL(None, use_errno=True)
        options = f"fd={self._fd},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()}"
        if libc.mount(b"keelson-test", os.fsencode(folder), b"fuse", 0, options.encode()) != 0:
            raise OSError(ctypes.get_errno(), "mount")
        self._answers = {1: self._lookup, 3: self._attributes, 4: self._attributes,
                         14: self._open, 15: self._read, 16: self._write, 18: self._nothing,
                         20: self._fsync, 25: self._nothing, 26: self._init, 27: self._open_folder,
                         28: self._nothing, 29: self._nothing, 38: self._nothing}

    def serve(self):
        while True:
            try:
                request = os.read(self._fd, self.WRITE_BYTES_MAX + 4096)
            except OSError as error:
                if error.errno in (errno.EINTR, errno.ENOENT):
                    continue
                return  # unmounted
            _, opcode, unique, node, *_ = self.REQUEST.unpack_from(request)
            if opcode in (2, 36, 42):  # forget, interrupt, batch_forget: no answer is expected
                continue
            answer = self._answers.get(opcode)
            result = answer(node, request[self.REQUEST.size:]) if answer else errno.ENOSYS
            error, body = (-result, b"") if isinstance(result, int) else (0, result)
            try:
                os.write(self._fd, struct.pack("<IiQ", 16 + len(body), error, unique) + body)
            except OSError:
                pass  # the request was taken back

    def _init(self, _node, body):
        readahead = struct.unpack_from("<III", body)[2]
        return struct.pack("<IIIIHHIIHHI28x", 7, 31, readahead, 0, 16, 12, self.WRITE_BYTES_MAX, 1,
                           0, 0, 0)

    def _attribute(self, node):
        is_file = node == self.FILE
        size = len(self._image.seen) if is_file else 0
        mode = stat.S_IFREG | 0o600 if is_file else stat.S_IFDIR | 0o700
        return struct.pack("<QQQQQQIIIIIIIIII", node, size, size // 512, 0, 0, 0, 0, 0, 0, mode, 1,
                           os.getuid(), os.getgid(), 0, 4096, 0)

    def _lookup(self, _node, name):
        if name.rstrip(b"\0") != FILE_NAME:
            return errno.ENOENT
        return struct.pack("<QQQQII", self.FILE, 0, 3600, 3600, 0, 0) + self._attribute(self.FILE)

    def _attributes(self, node, _body):
        return struct.pack("<QII", 3600, 0, 0) + self._attribute(node)

    def _open(self, _node, _body):
        return struct.pack("<QII", 1, self.FOPEN_DIRECT_IO, 0)

    def _open_folder(self, _node, _body):
        return struct.pack("<QII", 2, 0, 0)

    def _nothing(self, _node, _body):
        return b""

    def _read(self, _node, body):
        _, position, size = struct.unpack_from("<QQI", body)
        return bytes(self._image.seen[position:position + size])

    def _write(self, _node, body):
        _, position, size = struct.unpack_from("<QQI", body)
        self._image.write(position, body[40:40 + size])
        return struct.pack("<II", size, 0)

    def _fsync(self, _node, _body):
        self._image.flush()
        return b""


def main(image_file, folder):
    image = CachedImage(image_file)
    try:
        file = FuseFile(image, folder)
    except OSError as error:
        print(f"not mounted: {error}", flush=True)
        return
    threading.Thread(target=file.serve, daemon=True).start()
    print("mounted", flush=True)
    for line in sys.stdin:
        path, seed = line.split()
        dice = random.Random(int(seed))
        left, unflushed = image.cut(dice)
        print("cut", flush=True)
        lost, count = keep_some(left, unflushed, dice)
        Path(path).write_bytes(left)
        print(lost, count, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
