"""A co-process of granule in Python, without any package: counts the particles of HepMC3 events.

    granule run --input events.hepmc3 --out out --payload coprocess \
        --option cmd='python3 examples/coprocess-python/count_particles.py' --option outputs=COUNTS:ndjson

granule starts it once per worker, asks it event by event with one line of JSON each, and it answers with one line
each: docs/coprocess-protocol.md tells the protocol.
"""

import base64
import json
import sys


def send(message):
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def carried_bytes(message):
    """The bytes that a message carries: as text, in base64 or in a file."""
    if "text" in message:
        return message["text"].encode()
    if "base64" in message:
        return base64.b64decode(message["base64"])
    with open(message["file"], "rb") as file:
        return file.read()


def process(event):
    """One event in, its outputs by stream back. Whatever is raised here fails this event alone."""
    if event["format"] != "hepmc3":
        raise ValueError("this example reads HepMC3, not " + event["format"])
    status_by_line = [line.split()[-1] for line in carried_bytes(event).splitlines() if line.startswith(b"P ")]
    record = {
        "position": event["position"],
        "particles": len(status_by_line),
        "final": sum(status == b"1" for status in status_by_line),
    }
    return {"COUNTS": [record]}


def main():
    for line in sys.stdin:
        message = json.loads(line)
        if message["kind"] == "hello":
            # The place to load geometry, calibrations, a model: it happens once.
            send({"kind": "ready", "protocol": 1})
        elif message["kind"] == "event":
            try:
                send({"kind": "done", "id": message["id"], "outputs": process(message)})
            except Exception as error:
                send({"kind": "failed", "id": message["id"], "reason": f"{type(error).__name__}: {error}"})
        elif message["kind"] == "end":
            break


main()
