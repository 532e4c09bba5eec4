"""From a critical event to its bytes in the journal, beside a bare fdatasync of the same disk.

Usage: latency.py WORK COUNT, with a recorder running into WORK/journal. A critical event is a change of
a place that starts things; the journal's segment grows when it is sealed, and is synced right after.
"""
import os
import sys
import time

work, count = sys.argv[1], int(sys.argv[2])
place = "/etc/cron.d/saigen-latency"


def size():
    """Bytes of the journal's newest segment."""
    names = sorted(n for n in os.listdir(work + "/journal") if n.endswith(".saj"))
    return names[-1], os.stat(work + "/journal/" + names[-1]).st_size


def show(name, times):
    """Median and 99th of a hundred."""
    times.sort()
    print(f"{name}: median {times[len(times) // 2] * 1e3:.2f} ms, "
          f"p99 {times[min(len(times) - 1, int(len(times) * 0.99))] * 1e3:.2f} ms, {len(times)} times")


sealed, bare = [], []
try:
    for _ in range(count):
        # Between the recorder's own seals, of which there are at most twenty a second.
        time.sleep(0.3)
        before, began = size(), time.perf_counter()
        with open(place, "w") as file:
            file.write("# nothing\n")
        while size() == before:
            time.sleep(0.0005)
        sealed.append(time.perf_counter() - began)
        os.unlink(place)
        with open(work + "/bare", "ab") as file:
            file.write(b"x" * 4096)
            file.flush()
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            bare.append(time.perf_counter() - began)
finally:
    if os.path.exists(place):
        os.unlink(place)
show("event to sealed", sealed)
show("bare fdatasync", bare)
