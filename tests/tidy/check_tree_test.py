"""Each rule of check_tree.py catches its violation, and lets what is allowed pass."""

import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from check_tree import check_tree  # noqa: E402


class CheckTree(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        self.write("CMakeLists.txt", "project(example)\n")

    def write(self, path, text):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def assert_clean(self, path, text):
        self.write(path, text)
        self.assertEqual(check_tree(self.root), [])

    def assert_caught(self, path, text, rule):
        self.write(path, text)
        found = check_tree(self.root)
        self.assertEqual(len(found), 1, found)
        self.assertIn(rule, found[0])
        self.assertTrue(found[0].startswith(path + ":"), found[0])

    def test_layers_look_down_only(self):
        for path, header in [
            ("engine/base/a.cpp", "engine/io/file_system.h"),
            ("engine/io/a.cpp", "engine/log/record.h"),
            ("engine/log/a.cpp", "engine/store/store.h"),
            ("engine/log/b.cpp", "engine/replication/replica.h"),
            ("engine/replication/a.cpp", "engine/log/segment.h"),
            ("engine/replication/b.cpp", "engine/cluster/placement.h"),
            ("engine/store/b.cpp", "engine/cluster/placement.h"),
            ("engine/cluster/a.cpp", "aggregates/aggregate_host.h"),
            ("aggregates/b.cpp", "engine/cluster/placement.h"),
            ("projections/c.cpp", "engine/cluster/placement.h"),
            ("engine/store/a.cpp", "aggregates/aggregate_host.h"),
            ("aggregates/a.cpp", "projections/projection_host.h"),
            ("projections/a.cpp", "aggregates/aggregate_host.h"),
            ("projections/b.cpp", "engine/log/record.h"),
            ("http/a.cpp", "samples/bank/account.h"),
            ("http/b.cpp", "engine/log/record.h"),
        ]:
            with self.subTest(path=path, header=header):
                self.assert_caught(path, f'#include "{header}"\n', f"may not include {header}")
                (self.root / path).unlink()

    def test_layers_may_use_what_is_below(self):
        for path, header in [
            ("engine/log/a.cpp", "engine/io/file_system.h"),
            ("engine/replication/a.cpp", "engine/log/partition_log.h"),
            ("engine/cluster/a.cpp", "engine/log/log_format.h"),
            ("http/b.cpp", "engine/cluster/placement.h"),
            ("aggregates/a.cpp", "engine/store/store.h"),
            ("http/a.cpp", "projections/projection_host.h"),
            ("samples/bank/a.cpp", "http/app.h"),
            ("tests/engine/a.cpp", "engine/log/record.h"),
        ]:
            self.assert_clean(path, f'#include "{header}"\n')

    def test_third_parties_stay_in_their_layer(self):
        for path, header in [
            ("aggregates/a.cpp", "boost/beast/core.hpp"),
            ("engine/store/a.cpp", "boost/asio.hpp"),
            ("projections/a.cpp", "boost/container/flat_map.hpp"),
            ("http/a.cpp", "sqlite3.h"),
            ("engine/store/b.cpp", "nlohmann/json.hpp"),
            ("engine/log/a.cpp", "spdlog/spdlog.h"),
            ("engine/log/b.cpp", "fcntl.h"),
            ("aggregates/b.cpp", "fstream"),
        ]:
            with self.subTest(path=path, header=header):
                self.write(path, f"#include <{header}>\n")
                self.assertEqual(len(check_tree(self.root)), 1)
                (self.root / path).unlink()

    def test_engine_takes_time_randomness_and_threads_from_its_ports(self):
        for call in ["auto t = std::chrono::system_clock::now();", "auto t = std::time(nullptr);",
                     "auto t = time(0);", "std::random_device device;", "int n = rand();",
                     "std::thread t;", "std::this_thread::sleep_for(1s);"]:
            with self.subTest(call=call):
                self.assert_caught("engine/store/a.cpp", call + "\n", "comes from keelson::" if
                                   "thread" not in call else "come from keelson::")
        self.assert_clean("engine/store/a.cpp", "auto t = clock.now(); auto d = header.time(0);\n")
        self.assert_clean("engine/base/clock.cpp", "auto t = std::chrono::system_clock::now();\n")
        self.assert_clean("engine/store/a.cpp", "// no std::chrono::system_clock::now() here\n")

    def test_headers(self):
        self.assert_caught("engine/base/a.h", "int f();\n", "no #pragma once")
        self.assert_clean("engine/base/a.h", "#pragma once\nusing namespace std;\n")
        self.write("engine/base/CMakeLists.txt", "keelson_headers(engine a.h)\n")
        self.assert_caught("engine/base/a.h", "#pragma once\nusing namespace std;\n",
                           "using namespace")
        self.assert_clean("engine/base/a.h", "#pragma once\n")
        self.assert_caught("engine/base/a.cpp", '#include "a.h"\n', "path from the root")

    def test_public_headers_stand_alone_once_installed(self):
        self.write("engine/store/CMakeLists.txt", "keelson_headers(engine\n  store.h)\n")
        self.write("engine/store/hidden.h", "#pragma once\n")
        self.assert_caught("engine/store/store.h",
                           '#pragma once\n#include "engine/store/hidden.h"\n', "not installed")
        self.assert_caught("engine/store/store.h",
                           "#pragma once\n#include <openssl/sha.h>\n", "may not have")

    def test_coroutines_are_named_functions(self):
        self.assert_caught("http/a.cpp",
                           "auto f = [this](int n)\n    -> asio::awaitable<void> {};\n",
                           "lambda with captures")
        self.assert_clean("http/a.cpp", "auto f = [](int n) -> asio::awaitable<void> {};\n")

    def test_sizes_and_marks(self):
        self.assert_caught("engine/base/a.cpp", "\n" * 801, "801 lines")
        self.assert_clean("engine/base/a.cpp", "\n" * 800)
        self.assert_caught("engine/base/a.cpp", "/" * 101 + "\n", "101 columns")
        self.assert_clean("engine/base/a.cpp", "/" * 100 + "\n")
        self.assert_caught("engine/base/a.cpp", "int n;  // TODO: more\n", "unfinished")
        self.assert_caught("engine/base/a.cpp", "int n; \n", "white space")
        self.assert_caught("engine/base/a.cpp", "\tint n;\n", "a tab")
        self.assert_caught("engine/base/a.cpp", "int n;", "no newline")


if __name__ == "__main__":
    unittest.main()
