"""Every verb on a lake: what it prints, what it changes, what it says in JSON."""
import json
import os
import signal
import subprocess
import unittest

from support import TARN, LakeCase


class Init(LakeCase):
    make_lake = False

    def test_creates_and_says_so(self):
        self.assertIn("created a lake", self.ok("init").text)
        self.assertEqual(self.lines("ls", "/"), [])

    def test_path_operand_and_url(self):
        self.ok("init", "other")
        self.ok("--lake", "file://" + self.path("other"), "mkdir", "/x")
        self.assertEqual(self.lines("ls", "--lake", "other", "/"), ["x"])

    def test_existing_lake(self):
        self.ok("init")
        self.fails(1, "init", says=[self.lake, "already"])

    def test_empty_directory_is_fine_a_full_one_is_not(self):
        os.mkdir(self.lake)
        self.ok("init")
        self.write("full/file")
        self.fails(1, "init", "full", says=["full", "not empty"])
        self.assertEqual(os.listdir(self.path("full")), ["file"])

    def test_file_in_the_way(self):
        self.write("lake")
        self.fails(1, "init", says=["not a directory"])
        self.fails(1, "ls", says=["not a directory"])


class Files(LakeCase):
    def setUp(self):
        super().setUp()
        self.write("src/a.txt", "alpha\n")
        self.write("src/.hidden", "h")
        self.write("src/sub/b.bin", bytes(200_000))
        os.symlink("a.txt", self.path("src/link"))
        self.ok("import", "--quiet", "src", "/src")

    def test_ls(self):
        self.assertEqual(self.lines("ls", "/src"), ["a.txt", "link", "sub"])
        self.assertEqual(self.lines("ls", "-a", "/src"), [".hidden", "a.txt", "link", "sub"])
        self.assertEqual(self.lines("ls", "-d", "/src"), ["/src"])
        self.assertEqual(self.lines("ls", "/src/a.txt"), ["/src/a.txt"])
        self.assertEqual(self.lines("ls", "-R", "/src"),
                         ["/src:", "a.txt", "link", "sub", "", "/src/sub:", "b.bin"])
        detail = self.lines("ls", "-l", "/src")
        self.assertRegex(detail[0], r"^-rw.* 6 20\d\d-\d\d-\d\d \d\d:\d\d:\d\dZ a\.txt$")
        self.assertTrue(detail[1].endswith("link -> a.txt"))
        self.assertTrue(detail[2].startswith("d"))
        self.assertIn("195K", self.ok("ls", "-lh", "/src/sub").text)
        entry = self.ok("ls", "--json", "/src").json[0]
        self.assertEqual((entry["path"], entry["size"], entry["type"]), ("/src/a.txt", 6, "regular file"))
        inode = self.ok("ls", "-i", "/src/a.txt").text.split()[0]
        self.assertEqual(int(inode), entry["ino"])

    def test_cat(self):
        self.assertEqual(self.ok("cat", "/src/a.txt", "/src/link").out, b"alpha\nalpha\n")
        self.assertEqual(self.ok("cat", "/src/sub/b.bin").out, bytes(200_000))
        self.fails(1, "cat", "/src", says="is a directory")
        # Nothing is printed when one operand is wrong.
        self.assertEqual(self.tarn("cat", "/src/a.txt", "/nope").out, b"")

    def test_stat(self):
        text = self.ok("stat", "/src/sub/b.bin").text
        self.assertIn("Size: 200000", text)
        self.assertIn("regular file", text)
        one = self.ok("stat", "--json", "/src/link").json[0]
        self.assertEqual((one["type"], one["target"]), ("symbolic link", "a.txt"))
        self.assertEqual(self.ok("stat", "-L", "--json", "/src/link").json[0]["size"], 6)

    def test_tree(self):
        self.assertEqual(self.lines("tree", "/src"),
                         ["/src", "├── a.txt", "├── link -> a.txt", "└── sub", "    └── b.bin", "",
                          "1 directory, 3 files"])
        self.assertEqual(len(self.lines("tree", "-L", "1", "/src")), 6)
        self.assertEqual([n["path"] for n in self.ok("tree", "--json", "/src/sub").json],
                         ["/src/sub", "/src/sub/b.bin"])

    def test_du(self):
        self.ok("ln", "/src/sub/b.bin", "/src/sub/again")
        total = self.ok("du", "-b", "--json", "/src").json
        self.assertEqual([t["path"] for t in total], ["/src/sub", "/src"])
        self.assertEqual(total[0]["bytes"], 200_000)  # two names, once
        self.assertEqual(len(self.lines("du", "-s", "/src")), 1)
        self.assertRegex(self.ok("du", "-sbh", "/src/sub").text, r"^195K\t/src/sub\n$")

    def test_df(self):
        facts = self.ok("df", "--json").json
        self.assertEqual(facts["logical_bytes"], 6 + 1 + 200_000)
        self.assertGreater(facts["device_total_bytes"], facts["device_free_bytes"])
        self.assertIn(self.lake, self.ok("df", "-h").text)

    def test_mkdir(self):
        self.ok("mkdir", "/d", "/d/e")
        self.fails(1, "mkdir", "/d", says="exists already")
        self.fails(3, "mkdir", "/x/y", says="/x")
        self.ok("mkdir", "-p", "-m", "0700", "/x/y/z", "/x/y/z")
        self.assertEqual(self.ok("stat", "--json", "/x/y/z").json[0]["mode"], "0700")
        self.fails(1, "mkdir", "-p", "/src/a.txt/q", says="a.txt")
        self.fails(1, "mkdir", "-m", "9", "/q", says="octal")

    def test_rm(self):
        self.fails(1, "rm", "/src", says=["is a directory", "-r"])
        self.fails(3, "rm", "/src/a.txt", "/nope", says="/nope")
        self.ok("stat", "/src/a.txt")  # the good operand was not touched
        self.assertIn("would remove /src (6 items, 195.3 KiB)", self.ok("rm", "-r", "--dry-run", "/src").text)
        self.ok("rm", "-f", "/nope")
        self.ok("rm", "/src/a.txt")
        self.ok("rm", "-r", "/src")
        self.assertEqual(self.lines("ls", "/"), [])
        self.fails(1, "rm", "-r", "/", says="root")

    def test_mv(self):
        self.ok("mv", "/src/a.txt", "/moved")
        self.assertEqual(self.ok("cat", "/moved").out, b"alpha\n")
        self.fails(1, "mv", "/moved", "/src/sub/b.bin", says=["exists already", "-f"])
        self.assertIn("replacing", self.ok("mv", "-f", "--dry-run", "/moved", "/src/sub/b.bin").text)
        self.ok("stat", "/moved")
        self.ok("mv", "-f", "/moved", "/src/sub/b.bin")
        self.assertEqual(self.ok("cat", "/src/sub/b.bin").out, b"alpha\n")
        self.ok("mkdir", "/into")
        self.ok("mv", "/src/link", "/src/sub", "/into")
        self.assertEqual(self.lines("ls", "/into"), ["link", "sub"])
        self.fails(1, "mv", "/into", "/into/sub/deeper", says="/into")
        self.fails(3, "mv", "/nope", "/x", says="/nope")
        self.fails(3, "mv", "/into", "/src", "/missing/", says="no such directory")

    def test_cp(self):
        self.fails(1, "cp", "/src", "/copy", says=["is a directory", "-r"])
        self.ok("cp", "-r", "/src", "/copy")
        self.assertEqual(self.lines("ls", "-a", "/copy"), self.lines("ls", "-a", "/src"))
        self.assertEqual(self.ok("cat", "/copy/sub/b.bin").out, bytes(200_000))
        self.ok("cp", "/src/link", "/plain")  # follows
        self.assertEqual(self.ok("stat", "--json", "/plain").json[0]["type"], "regular file")
        self.fails(1, "cp", "/src/sub/b.bin", "/plain", says="-f")
        self.assertIn("would copy", self.ok("cp", "--dry-run", "-f", "/src/sub/b.bin", "/plain").text)
        self.ok("cp", "-f", "/src/sub/b.bin", "/plain")
        self.assertEqual(len(self.ok("cat", "/plain").out), 200_000)
        self.fails(1, "cp", "/plain", "/plain", says="same file")
        self.fails(1, "cp", "-rf", "/src", "/plain", says="do not replace each other")
        self.ok("cp", "-a", "/src", "/kept")
        stat = [self.ok("stat", "--json", f"/{d}/a.txt").json[0]["mtime"] for d in ("src", "kept", "copy")]
        self.assertEqual(stat[0], stat[1])
        self.assertNotEqual(stat[0], stat[2])

    def test_ln(self):
        self.ok("ln", "/src/a.txt", "/hard")
        self.assertEqual(self.ok("stat", "--json", "/hard").json[0]["nlink"], 2)
        self.ok("ln", "-s", "../nowhere", "/src/dangling")
        self.assertEqual(self.ok("stat", "--json", "/src/dangling").json[0]["target"], "../nowhere")
        self.fails(3, "cat", "/src/dangling", says="/src/dangling")
        self.fails(1, "ln", "/src", "/dirlink", says="is a directory")
        self.fails(1, "ln", "/src/a.txt", "/hard", says="exists already")
        self.ok("ln", "-s", "/loop2", "/loop1")
        self.ok("ln", "-s", "/loop1", "/loop2")
        self.fails(1, "cat", "/loop1", says="symbolic links")
        self.ok("ln", "-s", "../src/./sub", "/src/way")
        self.assertEqual(self.lines("ls", "/src/way/"), ["b.bin"])

    def test_closed_pipe_is_quiet(self):
        shell = f"'{TARN}' cat /src/sub/b.bin | head -c 1 >/dev/null; echo ${{PIPESTATUS[0]}}"
        done = subprocess.run(["bash", "-c", shell], env=self.environment(), capture_output=True, check=True)
        self.assertEqual((done.stdout, done.stderr), (b"141\n", b""))

    def test_full_device_for_output(self):
        with open("/dev/full", "wb") as full:
            process = self.start("cat", "/src/sub/b.bin", stdout=full)
            _, err = process.communicate()
        self.assertEqual(process.returncode, 6)
        self.assertEqual(err.count(b"\n"), 1)
        self.assertIn(b"standard output", err)


class History(LakeCase):
    def test_snapshots(self):
        self.write("v", "one")
        self.ok("import", "-q", "v", "/v")
        self.ok("snapshot", "create", "first")
        self.fails(1, "snapshot", "create", "first", says=["first", "exists"])
        self.write("v", "two!")
        self.ok("import", "-q", "--replace", "v", "/v")
        self.assertEqual(self.ok("cat", "/v").out, b"two!")
        self.assertEqual(self.ok("cat", "--at", "first", "/v").out, b"one")
        for verb in (["ls", "-l"], ["tree"], ["stat"], ["du", "-b"]):
            now, then = self.ok(*verb, "/v").out, self.ok(*verb, "--at", "first", "/v").out
            self.assertEqual(now == then, verb[0] == "tree", verb)
        self.ok("export", "-q", "--at", "first", "/v", "old")
        with open(self.path("old"), "rb") as file:
            self.assertEqual(file.read(), b"one")
        self.ok("cp", "--at", "first", "/v", "/restored")
        self.assertEqual(self.ok("cat", "/restored").out, b"one")
        self.assertTrue(self.lines("snapshot", "list")[0].endswith("  first"))
        self.assertEqual(self.ok("snapshot", "list", "--json").json[0]["name"], "first")
        self.assertIn("would drop", self.ok("snapshot", "drop", "--dry-run", "first").text)
        self.ok("snapshot", "drop", "first")
        self.assertEqual(self.ok("snapshot", "list", "--json").json, [])
        self.fails(3, "snapshot", "drop", "first", says="first")
        self.fails(3, "ls", "--at", "first", "/", says=["first", "snapshot list"])

    def test_one_record_for_each_command(self):
        self.write("f", "12345")
        self.ok("import", "-q", "f", "/f")
        self.ok("mkdir", "/a", "/b")
        self.ok("mv", "/f", "/a")
        self.ok("cp", "/a/f", "/c")
        self.ok("ln", "-s", "f", "/l")
        self.ok("snapshot", "create", "s")
        self.ok("rm", "-r", "/a", "/c")
        self.ok("ls", "/")
        log = self.ok("log", "--json").json
        self.assertEqual([r["command"].split()[1] for r in log],
                         ["rm", "snapshot", "ln", "cp", "mv", "mkdir", "import", "init"])
        self.assertEqual([r["id"] for r in log], list(range(8, 0, -1)))
        self.assertEqual((log[6]["files"], log[6]["bytes"]), (1, 5))
        self.assertRegex(log[0]["who"], r"^[^@]+@.+$")
        self.assertEqual(len(self.lines("log", "-n", "3")), 3)


    def test_the_log_is_followed(self):
        for name in "abc":
            self.ok("mkdir", f"/{name}")
        self.fails(1, "log", "--every", "2", says="--follow")
        begin = ["tarn mkdir /b", "tarn mkdir /c"]
        for options in ([], ["--json"]):
            follower = self.start("log", "--follow", "-n", "2", "--every", "1", *options)
            seen = [follower.stdout.readline() for _ in begin]
            self.ok("mkdir", "/later" + "".join(options).replace("--", "-"))
            seen.append(follower.stdout.readline())
            follower.send_signal(signal.SIGINT)
            rest, err = follower.communicate(timeout=60)
            self.assertEqual((follower.returncode, rest, err), (0, b"", b""))
            if options:
                seen = [json.loads(line)["command"].encode() for line in seen]
            for line, wanted in zip(seen, [*begin, "tarn mkdir /later"], strict=True):
                self.assertIn(wanted.encode(), line)
            self.ok("rm", "-r", "/b", "/c")
            for name in "bc":
                self.ok("mkdir", f"/{name}")


class Care(LakeCase):
    def test_check_and_stats(self):
        self.write("f", os.urandom(300_000))
        self.ok("import", "-q", "f", "/f")
        self.assertIn("no problems", self.ok("check").text)
        facts = self.ok("check", "--deep", "--json").json
        self.assertEqual((facts["ok"], facts["problems"]), (True, []))
        self.assertGreaterEqual(facts["blocks"], 3)
        stats = self.ok("stats", "--json").json
        self.assertTrue(stats)
        self.assertTrue(all(isinstance(v, int) for v in stats.values()))
        self.assertIn("level", self.ok("stats").text)

    def test_check_finds_a_flipped_bit(self):
        self.write("f", os.urandom(300_000))
        self.ok("import", "-q", "f", "/f")
        self.ok("ls")  # the reopened store has written the log into tables
        tables = [os.path.join(self.lake, "table", name) for name in os.listdir(os.path.join(self.lake, "table"))]
        table = max(tables, key=os.path.getsize)
        with open(table, "r+b") as file:
            file.seek(os.path.getsize(table) // 2)
            byte = file.read(1)
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte[0] ^ 1]))
        self.fails(5, "check", "--deep")

    def test_doctor(self):
        facts = {f["what"]: f for f in self.ok("doctor", "--json").json}
        for what in ("kernel", "open files", "reads", "mount", "lake", "file system", "free space"):
            self.assertIn(facts[what]["verdict"], ("ok", "note"), what)
        self.assertIn("kernel", self.ok("doctor").text)
        bad = self.tarn("--lake", "nowhere", "doctor", "--json")
        self.assertEqual(bad.code, 1)
        self.assertEqual([f["what"] for f in json.loads(bad.out) if f["verdict"] == "bad"], ["lake"])

    def test_dump(self):
        self.write("f", "x")
        self.ok("import", "-q", "f", "/f")
        self.ok("ls")
        names = [line.split()[1] for line in self.lines("dump")]
        for kind, word in (("manifest/", "record"), ("table/", "entries")):
            blob = [name for name in names if name.startswith(kind)][-1]
            self.assertIn(word, self.ok("dump", blob).text)
            by_path = self.tarn("dump", os.path.join(self.lake, blob), env={**os.environ, "TARN_LAKE": ""})
            self.assertEqual(by_path.code, 0, by_path.err)
        self.fails(3, "dump", "table/ffffffffffffffff")
        self.fails(1, "dump", "LOCK")

    def test_dump_of_the_log(self):
        store = self.path("kv")
        self.ok("--lake", store, "kv", "put", "key", "value")
        text = "".join(self.ok("--lake", store, "dump", name).text
                       for name in (line.split()[1] for line in self.lines("--lake", store, "dump"))
                       if name.startswith(("wal/", "table/")))
        self.assertIn("key", text)
        self.assertIn("value", text)


class Program(LakeCase):
    make_lake = False

    def test_version(self):
        self.assertRegex(self.ok("version").text, r"^tarn \d+\.\d+\.\d+ ")
        self.assertRegex(self.ok("version", "--json").json["version"], r"^\d+\.\d+\.\d+$")
        self.assertRegex(self.ok("--version").text, r"^tarn \d+\.\d+\.\d+\n$")

    def test_help_of_every_verb(self):
        overview = self.ok("--help").text
        listed = [line for line in overview.splitlines() if line.startswith("  ") and "    " in line[2:]]
        verbs = [line.split("  ")[1] for line in listed]
        verbs = [verb for verb in verbs if verb and not verb.startswith(("130", "export", "tarn"))] + ["export"]
        self.assertGreater(len(verbs), 30)
        for verb in verbs:
            text = self.ok(*verb.split(), "--help").text
            self.assertIn(f"Usage: tarn [--lake URL] {verb}", text)
            self.assertIn("Examples:\n  tarn", text.replace("source <(", ""), verb)
        self.assertEqual(self.ok("help", "ls").text, self.ok("ls", "--help").text)

    def test_completion(self):
        for shell in ("bash", "zsh", "fish"):
            script = self.ok("completion", shell).text
            for word in ("snapshot", "import", "dry-run"):
                self.assertIn(word, script)
        self.fails(1, "completion", "tcsh", says="bash")
        probe = """source <("$TARN" completion bash)
                   COMP_WORDS=(tarn sn); COMP_CWORD=1; _tarn; echo "${COMPREPLY[@]}"
                   COMP_WORDS=(tarn snapshot d); COMP_CWORD=2; _tarn; echo "${COMPREPLY[@]}"
                   COMP_WORDS=(tarn rm --dr); COMP_CWORD=2; _tarn; echo "${COMPREPLY[@]}" """
        done = subprocess.run(["bash", "-c", probe], env=self.environment(TARN=TARN), capture_output=True, check=True)
        self.assertEqual(done.stdout, b"snapshot\ndrop\n--dry-run\n", done.stderr)


if __name__ == "__main__":
    unittest.main()
