#!/usr/bin/env python3
"""Proves that each rule of tidy.py fires: small trees with one fault each, and one tree without any."""
import os
import re
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
TIDY = os.path.join(HERE, "tidy.py")

TABLE = """# Architecture

| folder | may include | foreign headers allowed | about |
|---|---|---|---|
| `include` | | | contracts |
| `base` | `include` | `xxhash.h` (hash.cc), `thread` (system_effects.cc) | |
| `format` | `include`, `base` | | |
| `wal` | `include`, `base` | | |
| `backends/local` | `include` | `liburing.h` (uring.cc), `OS` | |
| `kernel` | `include`, `base`, `format`, `wal/builtin.h` (assemble.cc) | | |
| `cli` | `include`, `base` | `CLI/CLI.hpp` (app.cc), `OS` | |
| `tests` | anything | anything | |
"""

CLEAN = {
    "docs/architecture.md": TABLE,
    "include/tarn/status.h": "// Status.\n#pragma once\n#include <string>\n",
    "wal/builtin.h": "// Factories.\n#pragma once\n#include \"tarn/status.h\"\n",
    "base/hash.cc": "#include <xxhash.h>\n",
    "backends/local/uring.cc": "#include <liburing.h>\n#include <unistd.h>\nint F() { return ::open(nullptr, 0); }\n",
    "kernel/assemble.cc": "#include \"wal/builtin.h\"\n// open(), std::cout and rand() in a comment\n"
                          "const char* k = \"printf( throw\";\nauto x = file.open(1);\nStatus Open(int a);\n"
                          "void F() { blob->read(1); 1'000'000; std::this_thread::get_id(); }\n",
    "tests/a_test.cc": "#include \"wal/builtin.h\"\n#include <anything.h>\nint main() { std::thread t; }\n",
}
BODY = "void Long() {\n" + "  int x;\n" * 75 + "}\n"
STORY = "// A story.\n"


class Rules(unittest.TestCase):
    seen = set()

    def run_tidy(self, changes, *args):
        with tempfile.TemporaryDirectory() as root:
            for path, text in {**CLEAN, **changes}.items():
                if text is None:
                    continue
                full = os.path.join(root, path)
                os.makedirs(os.path.dirname(full), exist_ok=True)
                with open(full, "w", encoding="utf-8") as f:
                    f.write(text)
            command = [sys.executable, TIDY, "--root", root, *args]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            kept = ""
            ratchet = os.path.join(root, "tests/tidy/ratchet.txt")
            if os.path.exists(ratchet):
                with open(ratchet, encoding="utf-8") as f:
                    kept = f.read()
            return done.returncode, done.stdout + done.stderr, kept

    def fires(self, rule, path, text, line=None, says=""):
        """Exactly this rule fires, at this file, and says what to do."""
        status, output, _ = self.run_tidy({path: text})
        found = re.findall(r"(?m)^(\S+?):(\d+): \[(\w+)\] (.*)$", output)
        self.assertEqual(status, 1, output)
        self.assertEqual({(f, r) for f, _, r, _ in found}, {(path, rule)}, output)
        if line:
            self.assertEqual(int(found[0][1]), line, output)
        self.assertIn(says, output)
        Rules.seen.add(rule)

    def test_clean_tree(self):
        self.assertEqual(self.run_tidy({})[:2], (0, ""))

    def test_graph(self):
        for text in ('#include "kernel/store.h"\n', '#include "wal/builtin.h"\n', '#include "nowhere/x.h"\n',
                     "#include <tarn/status.h>\n"):
            self.fires("graph", "format/table.cc", text, 1)
        self.fires("graph", "kernel/store.cc", '#include "wal/builtin.h"\n', 1, "no such edge")  # only assemble.cc
        self.fires("graph", "kernel/assemble.cc", '#include "wal/record.h"\n', 1)  # only builtin.h
        self.fires("graph", "backends/local/files.cc", '#include "base/coding.h"\n', 1)
        self.fires("graph", "stray/x.cc", "int x;\n", 1, "add the row")
        cycle = TABLE.replace("| `base` | `include`", "| `base` | `kernel`")
        self.fires("graph", "docs/architecture.md", cycle, 1, "cycle")
        status, output, _ = self.run_tidy({"docs/architecture.md": "nothing\n"})
        self.assertEqual(status, 1)
        self.assertIn("no table", output)

    def test_foreign(self):
        self.fires("foreign", "backends/local/files.cc", "#include <liburing.h>\n", 1, "backends/local/uring.cc")
        self.fires("foreign", "format/compress.cc", "#include <zstd.h>\n", 1, "nowhere yet")
        self.fires("foreign", "kernel/store.cc", "#include <thread>\n", 1, "base/system_effects.cc")
        self.fires("foreign", "kernel/store.cc", "#include <unistd.h>\n", 1)
        self.fires("foreign", "cli/verbs.cc", "#include <CLI/CLI.hpp>\n", 1, "cli/app.cc")

    def test_calls(self):
        self.fires("thread", "kernel/store.cc", "void F() { std::thread t(G); }\n", 1, "Scheduler")
        self.fires("sleep", "kernel/store.cc", "\nvoid F() { std::this_thread::sleep_for(x); }\n", 2, "Await")
        self.fires("sleep", "tests/b_test.cc", "void F() { usleep(5); }\n", 1)
        self.fires("clock", "kernel/store.cc", "auto t = std::chrono::steady_clock::now();\n", 1, "Clock")
        self.fires("clock", "cli/verbs.cc", "auto t = time(nullptr);\n", 1)
        self.fires("random", "wal/record.cc", "std::random_device d;\n", 1, "Entropy")
        self.fires("random", "wal/record.cc", "int x = rand();\n", 1)
        for call in ("open(a, b)", "::write(1, b, n)", "fsync(fd)", "rename(a, b)", "unlink(a)"):
            self.fires("file", "kernel/store.cc", f"void F() {{ {call}; }}\n", 1, "Backend")
        for call in ("std::cout << 1", "printf(x)", "std::exit(1)", "std::fprintf(stderr, x)"):
            self.fires("terminal", "wal/record.cc", f"void F() {{ {call}; }}\n", 1, "Status")
        self.fires("assert", "wal/record.cc", "void F() { assert(x); }\n", 1, "CHECK")
        self.fires("throw", "cli/verbs.cc", "void F() { throw 1; }\n", 1, "Status")

    def test_words(self):
        self.fires("undone", "wal/record.cc", "// TO" "DO: more\n", 1)
        self.fires("undone", "cmake/x.cmake", "x()  # TEMPO" "RARY-GUARD\n", 1)
        self.fires("undone", "docs/page.md", "This is enough for n" "ow.\n", 1)
        self.fires("undone", "tests/b_test.cc", "TEST(A, DISA" "BLED_B) {}\n", 1)
        self.fires("machine", "docs/page.md", "see /ho" "me/someone/x\n", 1)
        self.fires("blanks", "wal/record.cc", "int x; \n", 1)
        self.fires("blanks", "wal/record.cc", "int x;", 1)

    def test_shape(self):
        self.fires("header", "wal/record.h", "// Records.\n", 1, "pragma once")
        self.fires("story", "wal/record.cc", "int x;\n" * 100, 1, "opens with")
        told = {"wal/record.cc": "int x;\n" * 100, "wal/record.h": "// A story.\n#pragma once\n"}
        self.assertEqual(self.run_tidy(told)[:2], (0, ""))

    def test_sizes(self):
        self.fires("line", "wal/record.cc", "// " + "x" * 116 + "\n", 1, "119 columns")
        self.fires("size", "wal/record.cc", STORY + "int x;\n" * 500, 1, "501 lines")
        self.fires("size", "wal/record.cc", BODY, 1, "Long has 77 lines")
        inner = "namespace a {\nclass B {\n public:\n  template <class T>\n" + BODY + "};\n}\n"
        self.fires("size", "wal/record.cc", inner, 4, "Long has 78 lines")
        self.fires("size", "tests/b_test.cc", "TEST(A, B) {\n" + "  if (x) {\n  }\n" * 40 + "}\n", 1, "TEST(A,B)")
        self.assertEqual(self.run_tidy({"tests/b_test.cc": STORY + "int x;\n" * 600})[0], 0)

    def test_ratchet(self):
        ratchet = "tests/tidy/ratchet.txt"
        entry = {"wal/record.cc": BODY, ratchet: "wal/record.cc:Long 77\n"}
        self.assertEqual(self.run_tidy(entry)[:2], (0, ""))
        status, output, _ = self.run_tidy({**entry, ratchet: "wal/record.cc:Long 76\n"})
        self.assertEqual((status, "grew from 76 to 77" in output), (1, True), output)
        loose = {**entry, ratchet: "# why\nwal/record.cc:Long 90\nwal/gone.cc 600\n"}
        status, output, _ = self.run_tidy(loose)
        self.assertEqual((status, output.count("[ratchet]")), (1, 2), output)
        self.assertEqual(self.run_tidy(loose, "--lower")[2], "# why\nwal/record.cc:Long 77\n")
        self.fires("ratchet", ratchet, "three words here\n", 1)

    def test_pages(self):
        self.fires("page", "wal/README.md", "x\n" * 41, says="at most 40")
        self.fires("page", "README.md", "x\n" * 101, says="at most 100")
        self.fires("link", "docs/page.md", "see [x](missing.md)\n", 1)
        self.fires("link", "wal/record.cc", "// see docs/missing.md\n", 1)
        self.fires("link", "wal/README.md", "read `wal/missing.cc` first\n", 1)
        self.assertEqual(self.run_tidy({"docs/page.md": "[x](architecture.md), `wal/*.h`\n"})[0], 0)

    @classmethod
    def tearDownClass(cls):
        with open(TIDY, encoding="utf-8") as f:
            text = f.read()
        rules = set(re.findall(r'tree\.say\([^"\n]*?(?:"[\w./]+", )?[^"\n]*"(\w+)", f?["\']', text))
        rules |= set(re.findall(r'(?m)^    \("(\w+)", ', text))
        if len(rules) < 18 or rules != cls.seen:
            raise AssertionError(f"rules without a case, or cases without a rule: {sorted(rules ^ cls.seen)}")


if __name__ == "__main__":
    unittest.main()
