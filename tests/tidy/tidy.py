#!/usr/bin/env python3
"""The rules of this tree that a machine can check. `ctest -R tidy` runs it; so does `tests/tidy/tidy.py`.

Graph       the table in docs/architecture.md is parsed, and every #include must be an edge of it; foreign headers
            (anything in <> but plain C++) have the homes that the table names
Calls       time, chance, threads, files and the terminal are reached through seams: each message says which
Sizes       lines, functions, files, READMEs; exceptions stand in ratchet.txt with their size, and may only shrink
Words       nothing is left undone; no path of a machine; every link and path in docs/ leads somewhere

    tidy.py [--root DIR]           print what is wrong, one line each; status 1 if anything is
    tidy.py [--root DIR] --lower   rewrite ratchet.txt with the sizes of today where they are smaller

The parsers are as simple as the style of the tree allows (Google style, clang-format). tests/tidy/selftest.py feeds
each rule a small bad tree; a rule without a case there does not exist.
"""
import argparse
import glob
import os
import re
import sys

LINE_MAX = 118
FUNCTION_MAX = 70
FILE_MAX = 500
TEST_FILE_MAX = 700
STORY_FROM = 100  # lines from which a file must open with a comment
README_MAX = 40
PAGE_MAX = {"README.md": 100, "docs/architecture.md": 250}

CODE = (".h", ".cc")
TEXT = CODE + (".py", ".sh", ".md", ".txt", ".cmake", ".in", ".json")
SKIP_DIRS = {".git", "__pycache__"}
CORE = ("include", "base", "format", "memtable", "wal", "compaction", "kernel", "lake")
CODE_FOLDERS = CORE + ("backends", "fuse", "cli")
EXTRA_FOLDERS = ("tests", "bench", "examples")

# Plain C++ headers that are a door to the outside, and so need a home in the table like any foreign header.
GUARDED = {"thread", "chrono", "random", "filesystem", "fstream", "iostream", "ctime", "csignal", "future"}

# What `OS` means in the table.
OS_HEADER = re.compile(r"(?:sys|linux|net|netinet|arpa|asm)/.*|(?:dirent|errno|fcntl|fnmatch|grp|limits|poll|"
                       r"pthread|pwd|sched|signal|spawn|stdio|stdlib|termios|time|unistd|stdint|string)\.h|"
                       r"ctime|csignal")

EFFECTS = ("base/system_effects.cc",)
FACES = ("fuse/", "cli/")
OUTSIDE = ("tests/", "bench/", "examples/")

_FILES = (r"(?:open|openat|creat|close|read|write|pread|pwrite|preadv|pwritev|fsync|fdatasync|sync_file_range|rename|"
          r"renameat|renameat2|unlink|unlinkat|mkdir|mkdirat|rmdir|opendir|readdir|stat|fstat|lstat|fstatat|"
          r"ftruncate|fallocate|mmap|flock|fopen|fwrite|fread|syscall|ioctl|socket)")
_BARE = r"(?<![\w.>:~])(?:::)?"  # a free function: not a member, not the tail of another name or scope

# (name, pattern, prefixes it applies to, homes, what to do instead)
CALLS = [
    ("thread", r"\bstd::(?:jthread|thread\b(?!::id))|\bstd::async\b|\bpthread_create\b", CODE_FOLDERS,
     EFFECTS + ("base/thread_pool.", "backends/") + FACES,
     "submit a task to the injected Scheduler (tarn/sdk/effects.h)"),
    ("sleep", r"\bsleep_(?:for|until)\b|" + _BARE + r"(?:usleep|nanosleep|sleep)\s*\(", CODE_FOLDERS + EXTRA_FOLDERS,
     EFFECTS, "wait for the event itself (Scheduler::Await, a condition variable), or Clock::SleepNanos"),
    ("clock", r"\bclock_gettime\b|\bgettimeofday\b|_clock::now\b|\bClock::now\b|"
     r"(?<![\w.>])(?:std::)?time\s*\(\s*(?:nullptr|NULL|0|&)",
     CODE_FOLDERS, EFFECTS, "use the injected Clock (tarn/sdk/effects.h); in a face, SystemClock()"),
    ("random", r"\brandom_device\b|\bmt19937\b|\bgetrandom\b|" + _BARE + r"(?:std::)?s?rand(?:om)?\s*\(",
     CODE_FOLDERS, EFFECTS,
     "use the injected Entropy (tarn/sdk/effects.h); in a face, SystemEntropy()"),
    ("file", _BARE + _FILES + r"\s*\(", CORE, ("base/huge_page.cc",),
     "files are a backend's business: go through Backend (tarn/sdk/backend.h)"),
    ("terminal", r"\bstd::(?:cout|cerr|clog|exit|abort|quick_exit)\b|" + _BARE +
     r"(?:std::)?(?:printf|fprintf|vfprintf|puts|putchar|perror|exit|_exit|abort)\s*\(",
     CORE + ("backends", "fuse"), ("base/assert.h", "backends/local/uring.cc"),  # a backend has no base/assert.h
     "libraries do not print or exit: return a Status; for a bug of our own CHECK (base/assert.h)"),
    ("assert", _BARE + r"assert\s*\(", CODE_FOLDERS, (), "use CHECK or DCHECK (base/assert.h)"),
    ("throw", r"\bthrow\b", CODE_FOLDERS, (), "return a Status or Result (tarn/status.h)"),
]

# Broken up, so that this file does not accuse itself.
UNDONE = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK|TEMPO" r"RARY)\b|\bfor n" r"ow(?=[.,;:)]|\s*$)|"
                    r"(?<!Function )\bnot (?:yet )?impl" r"emented\b|\bDISA" r"BLED_")  # "Function not..." is ENOSYS
MACHINE = re.compile(r"(?<![\w.])/(?:wo" r"rk|fa" r"rm|ho" r"me|ro" r"ot|Us" r"ers)/[\w.]")
INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)')


class Tree:
    """All text files below a root, and the problems found in them."""

    def __init__(self, root):
        self.root = root
        self.problems = []
        self.files = {}
        for folder, dirs, names in os.walk(root):
            top = os.path.relpath(folder, root) == "."
            dirs[:] = sorted(d for d in dirs if d not in SKIP_DIRS and not (top and d.startswith("build")))
            for name in sorted(names):
                path = os.path.relpath(os.path.join(folder, name), root)
                if name.endswith(TEXT) or path in ("quickstart", "check", ".ci/run"):
                    with open(os.path.join(root, path), encoding="utf-8", errors="replace") as f:
                        self.files[path] = f.read()

    def code(self):
        return {p: t for p, t in self.files.items() if p.endswith(CODE)}

    def say(self, path, line, rule, message):
        self.problems.append(f"{path}:{line}: [{rule}] {message}")


def strip(text):
    """The code without comments and without what stands in quotes; line breaks stay where they are."""
    out, i, n = [], 0, len(text)
    while i < n:
        c = text[i]
        if text.startswith("//", i):
            end = text.find("\n", i)
            i = n if end < 0 else end
            continue
        if text.startswith("/*", i):
            end = text.find("*/", i + 2)
            end = n if end < 0 else end + 2
            out.append("\n" * text.count("\n", i, end))
            i = end
            continue
        raw = re.compile(r'R"([^()\\ ]{0,16})\(').match(text, i) if c == "R" else None
        if raw:
            end = text.find(")" + raw.group(1) + '"', i)
            end = n if end < 0 else end + len(raw.group(1)) + 2
            out.append('""' + "\n" * text.count("\n", i, end))
            i = end
            continue
        digit_separator = c == "'" and i > 0 and text[i - 1].isalnum()
        if c == '"' or (c == "'" and not digit_separator):
            i += 1
            while i < n and text[i] != c and text[i] != "\n":
                i += 2 if text[i] == "\\" else 1
            out.append(c + c)
            i += 1
            continue
        out.append(c)
        i += 1
    return "".join(out)


def line_of(text, at):
    return text.count("\n", 0, at) + 1


# ---------------------------------------------------------------------------------------------------- the graph

def parse_table(tree):
    """folder -> (allowed, foreign); each a list of (what, home file or None). None when the table is missing."""
    rows = {}
    page = tree.files.get("docs/architecture.md", "")
    begun = False
    for line in page.split("\n"):
        if line.startswith("| folder | may include |"):
            begun = True
            continue
        if not begun:
            continue
        if not line.startswith("|"):
            break
        cells = [c.strip() for c in line.strip().strip("|").split("|")]
        if set(cells[0]) <= {"-"}:
            continue
        rows[cells[0].strip("`")] = (parse_cell(cells[1]), parse_cell(cells[2]))
    return rows


def parse_cell(cell):
    if cell == "anything":
        return None
    return [(m.group(1), m.group(2)) for m in re.finditer(r"`([^`]+)`(?: \(([^)]+)\))?", cell)]


def folder_of(path, rows):
    fits = [f for f in rows if path == f or path.startswith(f + "/")]
    return max(fits, key=len) if fits else None


def allows(entries, what, file_name, match):
    return any(match(entry, what) and home in (None, file_name) for entry, home in entries)


def quoted_edge(tree, rows, path, number, target):
    target = "include/" + target if target.startswith("tarn/") else target
    allowed, _ = rows[folder_of(path, rows)]
    goal = folder_of(target, rows)
    if goal is None and allowed is not None:
        tree.say(path, number, "graph", f'"{target}" is in no folder of docs/architecture.md; '
                                        "include by path from the root")
    elif allowed is not None and goal != folder_of(path, rows) and not allows(
            allowed, target, os.path.basename(path), lambda e, t: t == e or t.startswith(e + "/")):
        tree.say(path, number, "graph", f'may not include "{target}": no such edge in docs/architecture.md; '
                                        "move the code to where it exists, or put it behind a contract in include/")


def foreign_edge(tree, rows, path, number, target):
    plain = "." not in target and "/" not in target
    if plain and target not in GUARDED:
        return None
    _, foreign = rows[folder_of(path, rows)]
    if foreign is None:
        return None
    if target.startswith("tarn/"):
        return tree.say(path, number, "graph", f'write "{target}" in quotes: it is ours')
    name = os.path.basename(path)
    if allows(foreign, target, name, lambda e, t: t == e):
        return None
    if OS_HEADER.fullmatch(target) and allows(foreign, "OS", name, lambda e, t: t == e):
        return None
    homes = sorted(f + (f"/{home}" if home else "/") for f, (_, fs) in rows.items() if fs is not None
                   for entry, home in fs if entry == target)
    return tree.say(path, number, "foreign", f"<{target}> is not at home here; its home is " +
                    (", ".join(homes) if homes else "nowhere yet: name one in docs/architecture.md, or do without"))


def check_graph(tree):
    rows = parse_table(tree)
    if not rows:
        return tree.say("docs/architecture.md", 1, "graph", "no table begins with '| folder | may include |'")
    for path, text in tree.code().items():
        if folder_of(path, rows) is None:
            tree.say(path, 1, "graph", "its folder is no row of the table in docs/architecture.md; add the row")
            continue
        for number, line in enumerate(text.split("\n"), 1):
            found = INCLUDE.match(line)
            if found and found.group(1):
                quoted_edge(tree, rows, path, number, found.group(1))
            elif found:
                foreign_edge(tree, rows, path, number, found.group(2))
    return check_cycles(tree, rows)


def check_cycles(tree, rows):
    """The table itself must be one-way, or it forbids nothing."""
    edges = {f: {folder_of("include/" + e if e.startswith("tarn/") else e, rows) for e, _ in allowed or []}
             for f, (allowed, _) in rows.items()}
    for start in edges:
        seen, todo = set(), [start]
        while todo:
            for goal in edges.get(todo.pop(), ()):
                if goal == start:
                    return tree.say("docs/architecture.md", 1, "graph", f"a cycle through `{start}`; cut an edge")
                if goal is not None and goal not in seen:
                    seen.add(goal)
                    todo.append(goal)
    return None


# ---------------------------------------------------------------------------------------------------- calls, words

def within(path, prefixes):
    return any(path.startswith(p + "/") for p in prefixes)


def check_calls(tree):
    for path, text in tree.code().items():
        bare = strip(text)
        for name, pattern, scope, homes, instead in CALLS:
            if not within(path, scope) or any(path.startswith(h) for h in homes):
                continue
            for found in re.finditer(pattern, bare):
                start = bare.rfind("\n", 0, found.start()) + 1
                if bare[start:found.start()].lstrip().startswith("#"):
                    continue
                tree.say(path, line_of(bare, found.start()), name, f"`{found.group(0).strip()}`: {instead}")


def check_words(tree):
    for path, text in tree.files.items():
        for number, line in enumerate(text.split("\n"), 1):
            found = UNDONE.search(line)
            if found:
                tree.say(path, number, "undone", f"`{found.group(0)}`: finish it, or refuse it in docs/")
            found = MACHINE.search(line)
            if found:
                tree.say(path, number, "machine", f"`{found.group(0)}...` is a path of one machine; make it relative")
            if path.endswith(CODE) and (line != line.rstrip() or "\t" in line):
                tree.say(path, number, "blanks", "trailing blanks or a tab; run clang-format")
        if text and not text.endswith("\n"):
            tree.say(path, text.count("\n") + 1, "blanks", "the last line has no line break; add it")


def check_shape(tree):
    for path, text in tree.code().items():
        first = text.lstrip().split("\n", 1)[0]
        if path.endswith(".h") and "#pragma once" not in text:
            tree.say(path, 1, "header", "has no `#pragma once`; add it below the opening comment")
        told = first.startswith("//") or tree.files.get(path[:-3] + ".h", "").startswith("//")
        if not path.startswith(EXTRA_FOLDERS) and text.count("\n") >= STORY_FROM and not told:
            tree.say(path, 1, "story", "neither it nor its header opens with what it is, invariants, threads")


# ---------------------------------------------------------------------------------------------------- sizes

def functions(text):
    """(name, first line, lines) of every outermost function body."""
    bare = re.sub(r"(?m)^[ \t]*#(?:[^\n\\]|\\\n|\\.)*", lambda m: "\n" * m.group(0).count("\n"), strip(text))
    bare = re.sub(r"\b(?:public|private|protected)(\s*):(?!:)", r";\1", bare)
    scopes, found, since = [], [], 0
    for at, c in enumerate(bare):
        if c in ";":
            since = at + 1
        elif c == "{":
            head = bare[since:at]
            inside = any(kind == "function" for kind, _, _ in scopes)
            kind = "other" if inside else classify(head)
            lead = len(head) - len(head.lstrip())
            scopes.append((kind, head, since + lead))
            since = at + 1
        elif c == "}":
            if scopes:
                kind, head, start = scopes.pop()
                if kind == "function":
                    first = line_of(bare, start)
                    found.append((name_of(head), first, line_of(bare, at) - first + 1))
            since = at + 1
    return found


def classify(head):
    head = re.sub(r"^\s*template\s*<[^{}]*?>\s*(?=class|struct|union|requires)", "", head)
    head = re.sub(r"^\s*(?:inline\s+)?", "", head)
    if re.match(r"(?:namespace|class|struct|union|enum|extern)\b", head):
        return "scope"
    return "function" if "(" in head else "other"


def name_of(head):
    found = re.search(r"([\w:~]+|operator\S+)\s*\(", head)
    name = found.group(1) if found else "?"
    if name.startswith("TEST"):
        inner = re.search(r"\(([^)]*)\)", head)
        name += "(" + re.sub(r"\s+", "", inner.group(1) if inner else "") + ")"
    return name


def read_ratchet(tree):
    known = {}
    for number, line in enumerate(tree.files.get("tests/tidy/ratchet.txt", "").split("\n"), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) != 2 or not words[1].isdigit():
            tree.say("tests/tidy/ratchet.txt", number, "ratchet", "a line is `path lines` or `path:function lines`")
            continue
        known[words[0]] = (int(words[1]), number)
    return known


def oversize(tree):
    """what -> (lines, limit, first line) of everything over a limit."""
    over = {}
    for path, text in tree.files.items():
        if not path.endswith(CODE + (".py", ".sh")):
            continue
        limit = TEST_FILE_MAX if path.startswith("tests/") else FILE_MAX
        if text.count("\n") > limit:
            over[path] = (text.count("\n"), limit, 1)
        for name, first, lines in functions(text) if path.endswith(CODE) else ():
            key = f"{path}:{name}"
            if lines > FUNCTION_MAX and lines > over.get(key, (0,))[0]:
                over[key] = (lines, FUNCTION_MAX, first)
    return over


def check_sizes(tree):
    for path, text in tree.files.items():
        if path.endswith(CODE + (".py", ".sh", ".cmake", "CMakeLists.txt")):
            for number, line in enumerate(text.split("\n"), 1):
                if len(line) > LINE_MAX:
                    tree.say(path, number, "line", f"{len(line)} columns, at most {LINE_MAX}; break it")
    known = read_ratchet(tree)
    over = oversize(tree)
    for what, (lines, limit, first) in over.items():
        path = what.split(":")[0]
        if what not in known:
            tree.say(path, first, "size", f"{what} has {lines} lines, at most {limit}; cut it by responsibility")
        elif lines > known[what][0]:
            tree.say(path, first, "size", f"{what} grew from {known[what][0]} to {lines} lines; it may only shrink")
    for what, (recorded, number) in known.items():
        if what not in over or over[what][0] < recorded:
            tree.say("tests/tidy/ratchet.txt", number, "ratchet", f"{what} is smaller now; run tidy.py --lower")


def lower(tree):
    path = "tests/tidy/ratchet.txt"
    over = oversize(tree)
    out = []
    for line in tree.files.get(path, "").split("\n")[:-1]:
        words = line.split()
        if len(words) == 2 and not line.startswith("#"):
            if words[0] not in over:
                continue
            line = f"{words[0]} {min(int(words[1]), over[words[0]][0])}"
        out.append(line)
    with open(os.path.join(tree.root, path), "w", encoding="utf-8") as f:
        f.write("".join(line + "\n" for line in out))


# ---------------------------------------------------------------------------------------------------- pages

def check_pages(tree):
    for path, text in tree.files.items():
        for found in () if path.startswith("tests/tidy/") else re.finditer(r"\bdocs/[\w/.-]+\.md\b", text):
            if found.group(0) not in tree.files:
                tree.say(path, line_of(text, found.start()), "link", f"{found.group(0)} does not exist")
        if not path.endswith(".md"):
            continue
        lines = text.count("\n")
        limit = PAGE_MAX.get(path, README_MAX if os.path.basename(path) == "README.md" else None)
        if limit and lines > limit:
            tree.say(path, lines, "page", f"{lines} lines, at most {limit}; move the detail to docs/")
        for found in re.finditer(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", text):
            if not os.path.exists(os.path.join(tree.root, os.path.dirname(path), found.group(1))):
                tree.say(path, line_of(text, found.start()), "link", f"{found.group(1)} does not exist")
        if path == "docs/architecture.md" or os.path.basename(path) == "README.md":
            check_paths_named(tree, path, text)


def check_paths_named(tree, path, text):
    """`kernel/open.cc` in backticks must exist, from the root or from beside the page; * is a wildcard."""
    for found in re.finditer(r"`([\w.*-]+(?:/[\w.*-]+)+/?)`", text):
        name = found.group(1)
        if name.split("/")[0] not in CODE_FOLDERS + EXTRA_FOLDERS + ("docs", "cmake", "scripts"):
            continue
        if not glob.glob(os.path.join(tree.root, name)):
            tree.say(path, line_of(text, found.start()), "link", f"`{name}` does not exist")


def main():
    parser = argparse.ArgumentParser(description="Checks the rules of this tree.")
    parser.add_argument("--root", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
    parser.add_argument("--lower", action="store_true", help="lower ratchet.txt to the sizes of today")
    args = parser.parse_args()
    tree = Tree(os.path.abspath(args.root))
    if args.lower:
        lower(tree)
        return 0
    for check in (check_graph, check_calls, check_words, check_shape, check_sizes, check_pages):
        check(tree)
    for problem in tree.problems:
        print(problem)
    if tree.problems:
        print(f"tidy: {len(tree.problems)} problems")
    return 1 if tree.problems else 0


if __name__ == "__main__":
    sys.exit(main())
