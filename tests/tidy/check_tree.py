"""Checks the source tree against the rules of docs/ARCHITECTURE.md: who may include what, which
calls stay behind the injected ports, how large a file may be.

Usage: check_tree.py ROOT. Prints each violation as `file:line: rule`; exits 1 when there is one.
"""

import re
import sys
from dataclasses import dataclass
from pathlib import Path

CODE = {".h", ".cpp"}
TEXT = CODE | {".py", ".cmake", ".txt"}
LINES_MAX = 800
COLUMNS_MAX = 100

# Folder -> folders it may include from. The most specific folder that holds a file decides.
MAY_INCLUDE = {
    "engine/base": ["engine/base"],
    "engine/io": ["engine/base", "engine/io"],
    "engine/log": ["engine/base", "engine/io", "engine/log"],
    "engine/store": ["engine/base", "engine/io", "engine/log", "engine/store"],
    # Replication reaches the log through its ports: the log's own public headers.
    "engine/replication": ["engine/base", "engine/io", "engine/replication",
                           "engine/log/log_tail.h", "engine/log/partition_log.h",
                           "engine/log/record.h"],
    # The transport carries bytes: it knows who takes part, and not what they say.
    "engine/transport": ["engine/base", "engine/io", "engine/replication/member.h",
                         "engine/replication/transport.h", "engine/transport"],
    # What a cluster agrees on, and the node that takes part: above all the rest of the engine.
    "engine/cluster": ["engine/base", "engine/cluster", "engine/io", "engine/log",
                       "engine/replication", "engine/store"],
    # The layers above see the store, and not how it keeps its bytes.
    "aggregates": ["engine/base", "engine/io", "engine/store", "aggregates"],
    "projections": ["engine/base", "engine/io", "engine/store", "projections"],
    "http": ["engine/base", "engine/cluster", "engine/io", "engine/replication", "engine/store",
             "engine/transport", "aggregates", "projections", "http"],
    "samples": ["engine/base", "engine/cluster", "engine/io", "engine/store", "aggregates",
                "projections", "http", "samples"],
}


@dataclass
class Ban:
    """Something that only some folders may use."""

    pattern: re.Pattern
    allowed: list
    rule: str


# Headers of third parties and of the operating system; `allowed` and everything below it.
HEADER_BANS = [
    Ban(re.compile(r"boost/beast"), ["http", "samples", "tests"], "Beast only in http"),
    Ban(re.compile(r"boost/asio"), ["http", "engine/transport", "samples", "tests"],
        "Asio only in http and the engine's transport"),
    Ban(re.compile(r"boost/"), ["http", "engine/transport", "samples", "tests"],
        "Boost only in http and the engine's transport"),
    Ban(re.compile(r"sqlite3"), ["projections", "tests"], "SQLite only in projections"),
    Ban(re.compile(r"nlohmann/"), ["aggregates", "projections", "http", "samples", "tests"],
        "no JSON in engine: a payload is bytes there"),
    Ban(re.compile(r"(spdlog|fmt|CLI|prometheus)/"),
        ["aggregates", "projections", "http", "samples", "tests"], "engine does not log or parse"),
    Ban(re.compile(r"(fstream|filesystem|(fcntl|unistd|dirent|sys/(mman|stat|file|uio))\.h)"),
        ["engine/io", "http", "samples", "tests", "projections"],
        "files are injected: engine/io alone reaches the operating system's"),
]

# Calls that must go through an injected port, so that a simulation can run from one seed.
CALL_BANS = [
    Ban(re.compile(r"\b(system_clock|steady_clock|high_resolution_clock)::now\b|\bclock_gettime\b"
                   r"|\bgettimeofday\b|(?<![\w.>:])(std::|::)?time\((0|NULL|nullptr|&)"),
        ["engine/base"], "time comes from keelson::Clock"),
    Ban(re.compile(r"\brandom_device\b|\bgetrandom\b|(?<![\w.>:])(std::|::)?s?rand\("),
        ["engine/base"], "randomness comes from keelson::Random"),
    Ban(re.compile(r"\bstd::(jthread|thread|async)\b|\bthis_thread::sleep"),
        ["engine/base", "engine/transport"], "threads and waiting come from keelson::Scheduler"),
]
CALL_BANS_APPLY_TO = ["engine", "aggregates", "projections"]

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
# A coroutine lambda's captures die with the lambda, before the coroutine (Core Guidelines CP.51).
CAPTURING_COROUTINE = re.compile(r"\[[^\[\]]+\]\s*\([^()]*\)[^{};]*->\s*[\w:]*awaitable<", re.S)
MARKS = re.compile(r"\b(TODO|FIXME|XXX)\b")
COMMENT = re.compile(r"//.*")


def is_in(path, folders):
    return any(path == folder or path.startswith(folder + "/") for folder in folders)


def home_of(path):
    """The most specific folder of MAY_INCLUDE that holds `path`, or None."""
    homes = [folder for folder in MAY_INCLUDE if is_in(path, [folder])]
    return max(homes, key=len, default=None)


def source_files(root):
    for folder in ("engine", "aggregates", "projections", "http", "samples", "tests"):
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in TEXT and "__pycache__" not in path.parts:
                yield path.relative_to(root).as_posix()
    yield "CMakeLists.txt"


def public_headers(root):
    """Headers listed in keelson_headers(...): what is installed and what users include."""
    found = set()
    for listing in root.rglob("CMakeLists.txt"):
        folder = listing.parent.relative_to(root).as_posix()
        if folder.startswith("build"):
            continue
        for names in re.findall(r"keelson_headers\(\s*\w+([^)]*)\)", listing.read_text()):
            found.update(f"{folder}/{name}" for name in names.split())
    return found


def check_include(path, quoted, header, public):
    """Yields the rules that including `header` in the file `path` breaks."""
    for ban in HEADER_BANS:
        if ban.pattern.match(header) and not is_in(path, ban.allowed):
            yield ban.rule
            break
    if path in public:
        own = quoted and not header.startswith("nlohmann/")
        if own and header not in public:
            yield f"a public header includes {header}, which is not installed"
        if re.match(r"(boost|sqlite3|spdlog|fmt|CLI|prometheus|openssl|xxhash|zstd)", header):
            yield f"a public header includes {header}, which its users may not have"
    if not quoted:
        return
    if "/" not in header and not is_in(path, ["tests/consumer/project"]):
        yield f'"{header}": headers are included by their path from the root'
    home = home_of(path)
    if home and header.split("/")[0] in {folder.split("/")[0] for folder in MAY_INCLUDE}:
        if not is_in(header, MAY_INCLUDE[home]):
            yield f"{home} may not include {header}"


def check_code(path, text, public):
    """Yields (line number, rule) of a C++ file."""
    lines = text.splitlines()
    if path.endswith(".h") and "#pragma once" not in lines:
        yield 1, "no #pragma once"
    for number, line in enumerate(lines, 1):
        if include := INCLUDE.match(line):
            for rule in check_include(path, include[1] == '"', include[2], public):
                yield number, rule
        code = COMMENT.sub("", line)
        if is_in(path, CALL_BANS_APPLY_TO):
            for ban in CALL_BANS:
                if ban.pattern.search(code) and not is_in(path, ban.allowed):
                    yield number, ban.rule
        if path in public and re.match(r"\s*using namespace\b", code):
            yield number, "using namespace in a public header"
    for match in CAPTURING_COROUTINE.finditer(text):
        yield text.count("\n", 0, match.start()) + 1, "a coroutine that is a lambda with captures"


def check_text(path, text):
    """Yields (line number, rule) of any file."""
    lines = text.splitlines()
    if len(lines) > LINES_MAX:
        yield len(lines), f"{len(lines)} lines: more than {LINES_MAX} hold two ideas"
    if text and not text.endswith("\n"):
        yield len(lines), "no newline at the end"
    for number, line in enumerate(lines, 1):
        if len(line) > COLUMNS_MAX:
            yield number, f"{len(line)} columns, more than {COLUMNS_MAX}"
        if line != line.rstrip():
            yield number, "white space at the end of the line"
        if "\t" in line:
            yield number, "a tab"
        if MARKS.search(line) and not path.startswith("tests/tidy/"):
            yield number, "unfinished work belongs in an issue"


def check_tree(root):
    """All violations below `root`, as `file:line: rule`."""
    public = public_headers(root)
    violations = []
    for path in source_files(root):
        text = (root / path).read_text(encoding="utf-8")
        found = list(check_text(path, text))
        if Path(path).suffix in CODE:
            found += check_code(path, text, public)
        violations += [f"{path}:{number}: {rule}" for number, rule in sorted(found)]
    return violations


def main():
    violations = check_tree(Path(sys.argv[1]))
    print("\n".join(violations) if violations else "The tree keeps its rules.")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
