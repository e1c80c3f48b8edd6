"""A payload of granule in Python: sums up each HepMC3 event. Needs nothing but Python.

granule starts this program once per worker and asks it event by event: one line of JSON in, one line out.
"""

import base64
import json
import math
import sys


def process(event):
    """One event in, its outputs by stream back. Whatever is raised here fails this event alone."""
    visible, sum_pt = 0, 0.0
    for line in carried_bytes(event).decode().splitlines():
        # P <id> <parent> <pdg> px py pz E m <status>
        fields = line.split()
        if fields and fields[0] == "P" and fields[9] == "1":
            visible += 1
            px, py = float(fields[4]), float(fields[5])
            # Products, sums and roots are the same on any machine; the last bits of ** need not be.
            sum_pt += math.sqrt(px * px + py * py)
    return {"SUMMARY": [{"position": event["position"], "visible": visible, "sumPt": sum_pt}]}


def carried_bytes(message):
    """The bytes of the event: as text, in base64 or in a file."""
    if "text" in message:
        return message["text"].encode()
    if "base64" in message:
        return base64.b64decode(message["base64"])
    with open(message["file"], "rb") as file:
        return file.read()


def send(message):
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def main():
    for line in sys.stdin:
        message = json.loads(line)
        if message["kind"] == "hello":
            # The place to load what all events need.
            send({"kind": "ready", "protocol": 1})
        elif message["kind"] == "event":
            try:
                send({"kind": "done", "id": message["id"], "outputs": process(message)})
            except Exception as error:
                send({"kind": "failed", "id": message["id"], "reason": f"{type(error).__name__}: {error}"})
        elif message["kind"] == "end":
            break


main()
