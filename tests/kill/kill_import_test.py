"""Imports killed with SIGKILL at random points of their run, then the lake opened again.

    kill_import_test.py [SOURCE...]     default: two generated trees

TARN_KILLS sets how many imports are killed (default 5).

After each kill the check is clean, before and after the recovery (which is killed too, half of the times);
everything that was acknowledged before is there and equal; each killed import is there as a whole with its record in
the log, or not at all and without one; and no inode is left over. In the end the import runs through and equals its
source.
"""
import os
import shutil
import signal
import sys
import time

from support import Place, inodes_of, make_tree, same_tree, seeded

KILLS = int(os.environ.get("TARN_KILLS") or 5)
# Verbs that only read do not recover (they write nothing); this one does, and changes nothing else.
RECOVER = ("rm", "-r", "--dry-run", "/ack")
REMOVALS = 1 + KILLS // 5


class ImportTest:
    def __init__(self, place, rng, sources):
        self.place, self.rng, self.sources = place, rng, sources
        self.kept = place.path("kept")
        make_tree(rng, self.kept, 300)
        # Two trees of one name, each of which takes the place of the other.
        self.swaps = [place.path("one/swap"), place.path("two/swap")]
        for tree, count in zip(self.swaps, (600, 400)):
            os.mkdir(os.path.dirname(tree))
            make_tree(rng, tree, count)
        self.acknowledged = place.path("acknowledged")  # a local copy of what the lake has below /ack
        self.sizes = {source: inodes_of(source) for source in sources}
        self.seconds = {}  # how long each kind of command takes
        self.swapped = 0  # which of the two is at /swap
        self.hit = self.recoveries_hit = self.whole = self.parts = 0

    def names(self):
        return [os.path.basename(source) for source in self.sources]

    def prepare(self):
        """The lake with what must survive, and how long things take when nobody disturbs them."""
        place = self.place
        place.ok("init", "-q")
        os.mkdir(self.acknowledged)
        place.ok("mkdir", "/ack", "/v")
        place.ok("import", "-q", self.kept, "/kept")
        place.ok("import", "-q", self.swaps[1], "/")
        self.seconds["swap"] = place.timed("import", "-q", "--replace", self.swaps[0], "/")
        place.ok("mkdir", "/v/trial")
        self.seconds["import"] = place.timed("import", "-q", *self.sources, "/v/trial/")
        self.seconds["rm"] = place.timed("rm", "-r", "/v/trial")
        print(f"undisturbed: import {self.seconds['import']:.2f} s, "
              f"rm -r {self.seconds['rm']:.2f} s; {sum(self.sizes.values())} inodes", flush=True)

    def acknowledge(self, number):
        """Two small commands that finish: they must be there from now on."""
        local = os.path.join(self.acknowledged, str(number))
        os.mkdir(local)
        with open(os.path.join(local, "note"), "wb") as file:
            file.write(self.rng.randbytes(self.rng.choice((10, 70000, 300000))))
        self.place.ok("mkdir", f"/ack/{number}")
        self.place.ok("import", "-q", os.path.join(local, "note"), f"/ack/{number}/note")

    def newest_record(self):
        return self.place.json("log", "-n", "1")[0]["id"]

    def records_after(self, last):
        records = [r for r in self.place.json("log", "-n", "50") if r["id"] > last]
        assert [r["id"] for r in records] == list(range(last + len(records), last, -1)), records
        return records

    def kill(self, share, kind, *args):
        """Kills it at about `share` of its usual run, perhaps the recovery too; returns the exit code."""
        seconds, begun = self.seconds[kind], time.monotonic()
        code = self.place.run_killed(share * seconds, *args)
        if code == 0:  # the machine is faster than it was: the next ones are killed earlier
            self.seconds[kind] = min(seconds, time.monotonic() - begun)
        assert code in (0, -signal.SIGKILL), (code, args)
        self.hit += code != 0
        self.place.check()
        if self.rng.random() < 0.5:  # reading the log again takes less time than writing it did
            recovery = self.place.run_killed(self.rng.random() * seconds * 0.4, *RECOVER)
            self.recoveries_hit += recovery != 0
            self.place.check()
        self.place.ok(*RECOVER)
        return code

    def import_round(self, number, share):
        place, target = self.place, f"/v/r{number}"
        place.ok("mkdir", target)
        last = self.newest_record()
        command = ["import", "-q", *self.sources, target + "/"]
        code = self.kill(share, "import", *command)
        report = place.check()
        records = self.records_after(last)
        for record in records:
            assert record["command"].startswith("tarn import -q ") and target in record["command"], record
        # Each source is published by itself, in order; one that is there has its record.
        there = self.sources[:len(records)]
        assert sorted(place.names(target)) == sorted(self.names()[:len(records)]), (place.names(target), records)
        assert code != 0 or there == self.sources, "acknowledged, and not there"
        self.whole += there == self.sources
        self.parts += 0 < len(there) < len(self.sources)
        self.verify(report, there, extra=1)
        for source in there:
            self.same(f"{target}/{os.path.basename(source)}", source)
        place.ok("rm", "-r", target)

    def swap_round(self, share):
        """import --replace: the old tree or the new one."""
        last, target = self.newest_record(), 1 - self.swapped
        code = self.kill(share, "swap", "import", "-q", "--replace", self.swaps[target], "/")
        report = self.place.check()
        replaced = len(self.records_after(last))
        assert replaced in (0, 1) and (code != 0 or replaced == 1), (code, replaced)
        self.swapped = target if replaced else self.swapped
        self.whole += replaced
        self.verify(report, [])
        self.same("/swap", self.swaps[self.swapped])

    def removal_round(self, share):
        self.place.ok("import", "-q", self.sources[-1], "/v/gone")
        last = self.newest_record()
        code = self.kill(share, "rm", "rm", "-r", "/v/gone")
        report = self.place.check()
        there = self.place.names("/v") == ["gone"]
        # The removal is a step, its record another one after it.
        records = len(self.records_after(last))
        assert records in (0, 1) and not (there and records), (there, records)
        assert code != 0 or records == 1, "acknowledged, and not in the log"
        self.verify(report, [self.sources[-1]] if there else [])
        if there:
            self.same("/v/gone", self.sources[-1])
            self.place.ok("rm", "-r", "/v/gone")

    def verify(self, report, there, extra=0):
        """What was acknowledged is there, and nothing else is."""
        expected = 1 + inodes_of(self.acknowledged) + 1 + inodes_of(self.kept)  # the root, /ack, /v, /kept
        expected += inodes_of(self.swaps[self.swapped]) + sum(self.sizes[source] for source in there) + extra
        assert report["inodes"] == expected, f"{report['inodes']} inodes, {expected} expected"
        for name in os.listdir(self.acknowledged):
            self.place.ok("stat", f"/ack/{name}/note")
        self.same("/ack", self.acknowledged, times=False)
        self.same("/kept", self.kept)

    def same(self, path, source, times=True):
        out = self.place.path("out")
        self.place.ok("export", "-q", path, out)
        if times:
            same_tree(source, out)
        else:  # directories made by mkdir have times of their own
            for number in os.listdir(source):
                same_tree(os.path.join(source, number, "note"), os.path.join(out, number, "note"))
            assert sorted(os.listdir(out)) == sorted(os.listdir(source))
        shutil.rmtree(out)


def main():
    rng = seeded()
    with Place() as place:
        sources = [os.path.abspath(source) for source in sys.argv[1:]]
        if not sources:
            sources = [place.path("tree"), place.path("more")]
            for source in sources:
                make_tree(rng, source, 1000)
        test = ImportTest(place, rng, sources)
        test.prepare()
        for number in range(KILLS):
            test.acknowledge(number)
            share = (number + rng.random()) / KILLS * 1.1  # spread over the run, and a little behind it
            if number % 4 == 3:
                test.swap_round(share)
            else:
                test.import_round(number, share)
        print(f"{KILLS} imports: {test.hit} hit while they ran, {test.whole} whole, {test.parts} whole in "
              f"the first source only, {KILLS - test.whole - test.parts} not there, "
              f"{test.recoveries_hit} recoveries hit too", flush=True)
        assert test.hit >= KILLS // 3, "too few were killed in time: this proved nothing"
        test.hit = 0
        for number in range(REMOVALS):
            test.removal_round((number + rng.random()) / REMOVALS / 2)
        print(f"{REMOVALS} rm -r: {test.hit} hit while they ran")
        place.ok("mkdir", "/final")
        place.ok("import", "-q", *sources, "/final/")
        for source in sources:
            test.same(f"/final/{os.path.basename(source)}", source)
        report = place.check("--deep")
        print(f"in the end: {report['inodes']} inodes, {report['blocks']} blocks, no problems")


if __name__ == "__main__":
    main()
