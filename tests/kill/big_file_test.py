"""A file of 4 GiB, half of it holes: imported, read, checked and exported, each in bounded memory.

The bound is the sum of what the parts may take: the store's memory budget (Settings::memory_bytes, 256 MiB), the
lake's dirty bytes (LakeOptions::dirty_bytes, 32 MiB), and 64 MiB for the program itself with its buffers.
"""
import hashlib
import os
import shutil
import subprocess
import sys
import time

from support import MIB, TARN, Place, end, same_content, seeded, skip

SIZE = 4096 * MIB
BOUND_MIB = 256 + 32 + 64
NEEDED = 8 * 1024 * MIB  # source, lake and export: 2 GiB each, and room for merges


def make_file(rng, path):
    """Data and holes in turn, 2 GiB of each, with edges on and off the lake's blocks; the file ends in a hole."""
    at, digest = 0, hashlib.sha256()
    with open(path, "wb") as file:
        while at < SIZE:
            data = min(rng.choice((1, 7 * MIB + 5, 64 * MIB, 100 * MIB - 4096)), SIZE - at)
            file.seek(at)
            for begin in range(0, data, MIB):
                piece = rng.randbytes(min(MIB, data - begin))
                file.write(piece)
                digest.update(piece)
            hole = min(data, SIZE - at - data)
            for begin in range(0, hole, MIB):
                digest.update(bytes(min(MIB, hole - begin)))
            at += data + hole
        file.truncate(SIZE)
    return digest.hexdigest()


class Steps:
    def __init__(self, place):
        self.place, self.over = place, []

    def measured(self, name, *args, read=None):
        """Runs it to its end, holds its peak against the bound; `read` gets its standard output."""
        begun = time.monotonic()
        process = self.place.start(TARN, *args, stdout=subprocess.PIPE if read else None)
        answer = read(process.stdout) if read else None
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        end(process)
        assert process.returncode == 0, (name, process.returncode)
        peak = usage.ru_maxrss / 1024
        print(f"{name:12} {time.monotonic() - begun:6.1f} s   peak {peak:5.0f} MiB of {BOUND_MIB}", flush=True)
        if peak > BOUND_MIB:
            self.over.append(f"{name}: {peak:.0f} MiB")
        return answer


def sha256_of(stream):
    done = subprocess.run(["sha256sum"], stdin=stream, capture_output=True, check=True)
    return done.stdout.decode().split()[0]


def main():
    rng = seeded()
    with Place() as place:
        if shutil.disk_usage(place.dir).free < NEEDED:
            skip(f"less than {NEEDED // MIB} MiB free below {place.dir}; set TARN_TEST_DIR")
        place.ok("init", "-q")
        big, out = place.path("big"), place.path("out")
        # In a process of its own, so that no memory of this one is counted as that of its children.
        maker = subprocess.run([sys.executable, "-B", __file__, "--make", big, str(rng.randrange(1 << 30))],
                               capture_output=True, check=True)
        digest = maker.stdout.decode().strip()
        stored = os.stat(big).st_blocks * 512
        print(f"a file of {SIZE // MIB} MiB, {stored // MIB} MiB of it data", flush=True)
        steps = Steps(place)
        steps.measured("import", "import", "-q", big, "/big")
        assert steps.measured("cat", "cat", "/big", read=sha256_of) == digest
        steps.measured("check --deep", "check", "-q", "--deep")
        steps.measured("export", "export", "-q", "/big", out)
        same_content(big, out)
        exported = os.stat(out).st_blocks * 512
        assert exported <= stored + 64 * MIB, f"{exported // MIB} MiB exported: the holes are lost"
        steps.measured("rm", "rm", "/big")
        assert not steps.over, "over the bound: " + ", ".join(steps.over)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--make"]:
        import random
        print(make_file(random.Random(int(sys.argv[3])), sys.argv[2]))
    else:
        main()
