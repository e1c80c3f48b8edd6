"""Dask distributed: one task per event on a local cluster with one thread per worker process."""
import json
import os
import sys
import time

try:
    from distributed import Client, LocalCluster, as_completed
except ImportError:
    sys.exit(69)

SHARD = 1024
_records = {}


def record(size_bytes):
    if size_bytes not in _records:
        _records[size_bytes] = bytes(at & 0xFF for at in range(size_bytes))
    return _records[size_bytes]


def write_event_file(folder, index, size_bytes):
    shard = os.path.join(folder, "files", str(index // SHARD))
    os.makedirs(shard, exist_ok=True)
    temporary = os.path.join(folder, "writing-dask-%d" % os.getpid())
    with open(temporary, "wb", buffering=0) as file:
        file.write(record(size_bytes))
    os.rename(temporary, os.path.join(shard, "OUT.1-1-1-%d-1" % (index + 1)))


def main():
    work = json.loads(sys.argv[1])
    folder, count = work["folder"], work["fileCount"]
    os.makedirs(os.path.join(folder, "files"), exist_ok=True)
    os.chdir(folder)
    with LocalCluster(
        n_workers=work["threadCount"], threads_per_worker=1, dashboard_address=None, local_directory=folder
    ) as cluster, Client(cluster) as client:
        start = time.time()
        futures = client.map(write_event_file, [folder] * count, range(count), [work["sizeBytes"]] * count, pure=False)
        timeline = []
        done = 0
        for batch in as_completed(futures).batches():
            done += len(batch)
            timeline.append([time.time() * 1000, done])
            for future in batch:
                future.result()
    json.dump({"startMs": start * 1000, "timeline": timeline}, sys.stdout)


if __name__ == "__main__":
    main()
