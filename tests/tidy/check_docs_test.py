"""Each rule of check_docs.py catches its violation, and lets what is right pass."""

import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from check_docs import check_docs  # noqa: E402

SOURCE = """struct Account {
  // [docs: deposit]
  int deposit(int amount) {
    return amount;
  }
  // [end]
};
"""
QUOTE = """# Title
<!-- samples/a.h: deposit -->
```cpp
int deposit(int amount) {
  return amount;
}
```
"""


class CheckDocs(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)

    def write(self, path, text):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def assert_caught(self, start, rule):
        found = check_docs(self.root)
        self.assertEqual(len(found), 1, found)
        self.assertTrue(found[0].startswith(start), found[0])
        self.assertIn(rule, found[0])

    def test_code_is_code_of_the_tree(self):
        self.write("samples/a.h", SOURCE)
        self.write("README.md", QUOTE)
        self.assertEqual(check_docs(self.root), [])
        self.write("README.md", QUOTE.replace("return amount", "return -amount"))
        self.assert_caught("README.md:2:", "differs from deposit")
        self.write("README.md", QUOTE.replace(": deposit", ": withdraw"))
        self.assert_caught("README.md:2:", "no part named withdraw")
        self.write("README.md", QUOTE.replace("a.h", "b.h"))
        self.assert_caught("README.md:2:", "samples/b.h has no part")

    def test_links_lead_somewhere(self):
        self.write("docs/a.md", "[the readme](../README.md#words), [web](https://example.org)\n")
        self.assert_caught("docs/a.md:1:", "no such file: ../README.md")
        self.write("README.md", "# Words\n")
        self.assertEqual(check_docs(self.root), [])

    def test_a_lambda_in_code_is_no_link(self):
        self.write("README.md", "`[](a)`\n```cpp\nauto f = [](int n) {};\n```\n[b](b.md)\n")
        self.assert_caught("README.md:5:", "no such file: b.md")

    def test_decisions_are_indexed_and_numbered_once(self):
        self.write("docs/decisions/0001-one.md", "# 1. One\n")
        self.write("docs/decisions/README.md", "[One](0001-one.md)\n")
        self.assertEqual(check_docs(self.root), [])
        self.write("docs/decisions/0002-two.md", "# 2. Two\n")
        self.assert_caught("docs/decisions/README.md:", "0002-two.md is not in the index")
        self.write("docs/decisions/README.md", "[One](0001-one.md) [Two](0002-two.md) "
                   "[Three](0002-three.md)\n")
        self.write("docs/decisions/0002-three.md", "# 2. Three\n")
        self.assertEqual(len(check_docs(self.root)), 2)

    def test_errors_are_listed_as_they_are_sent(self):
        self.write("http/a.cpp", """
          problem.status = 403;
          problem.code = "forbidden";
          return {503,
                  "not-leader",
                  "Another node leads"};
          return protocol_problem(501, "not-implemented", "Not implemented",
          Response::json(200, "not-an-error", "No");
        """)
        rows = ("| status | code | means |\n|---|---|---|\n| 403 | `forbidden` | no |\n"
                "| 501 | `not-implemented` | no |\n| 503 | `overloaded`, `not-leader` | later |\n")
        self.write("docs/http-api.md", rows.replace("`overloaded`, ", ""))
        self.assertEqual(check_docs(self.root), [])
        self.write("docs/http-api.md", rows)
        self.assert_caught("docs/http-api.md:5:", "nothing answers 503 overloaded")
        self.write("docs/http-api.md", rows.replace("`overloaded`, ", "").replace("403", "401"))
        self.assertEqual(check_docs(self.root),
                         ["docs/http-api.md:1: error 403 forbidden is not listed",
                          "docs/http-api.md:3: nothing answers 401 forbidden"])


if __name__ == "__main__":
    unittest.main()
