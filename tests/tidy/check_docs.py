"""Checks that documentation is not stale: code in it is code of the tree, and its links lead
somewhere; the table of errors in docs/http-api.md is what the server sends.

A code block that shows a part of a source file says so in the line above it:

    <!-- samples/bank/account.h: deposit -->
    ```cpp
    …
    ```

and must be equal, but for indentation, to what stands in that file between the lines
`// [docs: deposit]` and `// [end]`.

Usage: check_docs.py ROOT. Prints each violation as `file:line: rule`; exits 1 when there is one.
"""

import re
import sys
import textwrap
from pathlib import Path

SNIPPET = re.compile(r"<!-- (?P<file>\S+): (?P<name>[\w-]+) -->\n+```\w*\n(?P<code>.*?)^```",
                     re.M | re.S)
CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.M | re.S)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?!https?:|mailto:|#)(?P<target>[^)#\s]+)")
DECISION = re.compile(r"\d{4}-[a-z0-9-]+\.md")


def region(text, name):
    """What stands between the markers of `name`, without common indentation; None: no such."""
    begin = rf"^\s*// \[docs: {re.escape(name)}\]\n"
    found = re.search(begin + r"(.*?)^\s*// \[end\]", text, re.M | re.S)
    return textwrap.dedent(found[1]).strip() if found else None


def check_document(root, path):
    """Yields (line number, rule)."""
    text = (root / path).read_text(encoding="utf-8")

    def line_of(match):
        return text.count("\n", 0, match.start()) + 1

    for snippet in SNIPPET.finditer(text):
        source = root / snippet["file"]
        code = region(source.read_text(), snippet["name"]) if source.is_file() else None
        if code is None:
            yield line_of(snippet), f"{snippet['file']} has no part named {snippet['name']}"
        elif code != textwrap.dedent(snippet["code"]).strip():
            yield line_of(snippet), f"differs from {snippet['name']} in {snippet['file']}"
    prose = CODE.sub(lambda code: re.sub(r"[^\n]", " ", code[0]), text)
    for link in LINK.finditer(prose):
        if not (root / path).parent.joinpath(link["target"]).exists():
            yield line_of(link), f"no such file: {link['target']}"


def check_decisions(root):
    """Yields (path, line number, rule): every record is in the index, and numbers are unique."""
    folder = root / "docs/decisions"
    index = folder / "README.md"
    if not index.exists():
        return
    records = sorted(p.name for p in folder.iterdir() if DECISION.fullmatch(p.name))
    linked = index.read_text()
    for record in records:
        if f"({record})" not in linked:
            yield "docs/decisions/README.md", 1, f"{record} is not in the index"
        if sum(other[:4] == record[:4] for other in records) > 1:
            yield f"docs/decisions/{record}", 1, "another record has this number"


# Where a status and a code stand together in http/: a problem's fields, a call, a row of a table.
ERRORS_IN_CODE = [
    re.compile(r'\.status = (?P<status>\d{3});\s*\w+\.code = "(?P<code>[a-z-]+)"'),
    re.compile(r'[({]\s*(?P<status>[345]\d{2}),\s*"(?P<code>[a-z-]+)",\s*"[A-Z]'),
]
ERROR_ROW = re.compile(r"^\| (?P<status>\d{3}) \| (?P<codes>(?:`[a-z-]+`(?:, )?)+) \|", re.M)


def check_errors(root):
    """Yields (path, line number, rule): what http/ can answer and what its document lists."""
    document = root / "docs/http-api.md"
    if not document.exists():
        return
    text = document.read_text(encoding="utf-8")
    listed = {(row["status"], code): text.count("\n", 0, row.start()) + 1
              for row in ERROR_ROW.finditer(text)
              for code in re.findall(r"`([a-z-]+)`", row["codes"])}
    sent = {(found["status"], found["code"])
            for source in sorted(root.glob("http/*.cpp"))
            for pattern in ERRORS_IN_CODE
            for found in pattern.finditer(source.read_text(encoding="utf-8"))}
    for status, code in sorted(sent - set(listed)):
        yield "docs/http-api.md", 1, f"error {status} {code} is not listed"
    for status, code in sorted(set(listed) - sent):
        yield "docs/http-api.md", listed[status, code], f"nothing answers {status} {code}"


def check_docs(root):
    """All violations below `root`, as `file:line: rule`."""
    documents = sorted(root.glob("*.md")) + sorted(root.glob("docs/**/*.md"))
    violations = []
    for document in documents:
        path = document.relative_to(root).as_posix()
        violations += [f"{path}:{n}: {rule}" for n, rule in check_document(root, path)]
    found = [*check_decisions(root), *check_errors(root)]
    return violations + [f"{path}:{n}: {rule}" for path, n, rule in found]


def main():
    violations = check_docs(Path(sys.argv[1]))
    print("\n".join(violations) if violations else "The documentation is not stale.")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
