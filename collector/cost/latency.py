"""From a critical event to its sealed and to its durable bytes, beside a bare fdatasync of the same disk.

Usage: latency.py happen WORK COUNT, with a recorder running into WORK/journal whose fdatasync calls strace
       writes to WORK/synced (-ttt -T); then, when strace has ended: latency.py show WORK.
A critical event is a change of a place that starts things; the journal's segment grows when it is sealed,
and the first fdatasync that begins after that and returns made it durable.
"""
import json
import os
import re
import sys
import time

PLACE = "/etc/cron.d/saigen-latency"


def size(work):
    """Bytes of the journal's newest segment."""
    names = sorted(n for n in os.listdir(work + "/journal") if n.endswith(".saj"))
    return names[-1], os.stat(work + "/journal/" + names[-1]).st_size


def show(name, times):
    """Median and 99th of a hundred."""
    times.sort()
    print(f"{name}: median {times[len(times) // 2] * 1e3:.2f} ms, "
          f"p99 {times[min(len(times) - 1, int(len(times) * 0.99))] * 1e3:.2f} ms, {len(times)} times")


def happen(work, count):
    """Lets critical events happen, and notes when each did and when it was sealed."""
    noted = []
    try:
        for _ in range(count):
            # Between the recorder's own seals, of which there are at most twenty a second.
            time.sleep(0.6)
            before, began = size(work), time.time()
            with open(PLACE, "w") as file:
                file.write("# nothing\n")
            while size(work) == before:
                time.sleep(0.0005)
            sealed = time.time()
            os.unlink(PLACE)
            with open(work + "/bare", "ab") as file:
                file.write(b"x" * 4096)
                file.flush()
                bare = time.perf_counter()
                os.fdatasync(file.fileno())
                bare = time.perf_counter() - bare
            noted.append((began, sealed, bare))
    finally:
        if os.path.exists(PLACE):
            os.unlink(PLACE)
    time.sleep(1)
    with open(work + "/noted", "w") as file:
        json.dump(noted, file)


def results(work):
    """Says how long it took."""
    with open(work + "/noted") as file:
        noted = json.load(file)
    returned = []
    with open(work + "/synced") as file:
        for line in file:
            found = re.search(r"(\d+\.\d+) fdatasync\(.*<(\d+\.\d+)>$", line.strip())
            if found:
                began, took = float(found[1]), float(found[2])
                returned.append((began, began + took))
    durable, after = [], []
    for began, sealed, _ in noted:
        # The size is looked at every half millisecond: the sync may have begun a moment before that.
        end = min((end for start, end in returned if start >= sealed - 0.005 and end >= sealed - 0.005), default=None)
        if end is not None:
            durable.append(end - began)
            after.append(end - max(start for start, other in returned if other == end))
    show("event to sealed", [sealed - began for began, sealed, _ in noted])
    show("event to durable", durable)
    show("the recorder's fdatasync", after)
    show("bare fdatasync", [bare for _, _, bare in noted])


if sys.argv[1] == "happen":
    happen(sys.argv[2], int(sys.argv[3]))
else:
    results(sys.argv[2])
