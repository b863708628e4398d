"""Writes events.h: two TensorBoard records as tensorboardX writes them.

    python3 tests/reference/events.py > tests/reference/events.h    # tensorboardX installed
"""
import os
import tempfile

from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.summary_pb2 import Summary
from tensorboardX.record_writer import RecordWriter

path = os.path.join(tempfile.mkdtemp(), "events")
writer = RecordWriter(path)
values = [Summary.Value(tag="loss", simple_value=1.5), Summary.Value(tag="lr", simple_value=0.0002)]
for event in (
    Event(wall_time=1700000000.25, file_version="brain.Event:2"),
    Event(wall_time=1700000001.5, step=300, summary=Summary(value=values)),
):
    writer.write(event.SerializeToString())
writer.flush()
writer.close()
with open(path, "rb") as f:
    data = f.read()
print("/* Made by events.py with tensorboardX: a version at 1700000000.25; loss 1.5 and lr 0.0002 of step 300 at")
print(" * 1700000001.5. */")
print("static const uint8_t golden_events[] = {")
for i in range(0, len(data), 16):
    print("    " + " ".join("0x%02x," % byte for byte in data[i : i + 16]))
print("};")
