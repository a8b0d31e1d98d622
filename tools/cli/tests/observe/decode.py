# SPDX-License-Identifier: GPL-2.0

"""Prints what Perfetto's own bindings find in a file for its viewer, in JSON."""

import collections
import json
import sys

from google.protobuf.unknown_fields import UnknownFieldSet
from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace, TrackEvent


def unknown(message):
    """Counts the fields that Perfetto does not know, in a message and those in it."""
    found = len(UnknownFieldSet(message))
    for field, value in message.ListFields():
        if field.message_type:
            found += sum(map(unknown, [value] if hasattr(value, "ListFields") else value))
    return found


trace = Trace()
with open(sys.argv[1], "rb") as file:
    trace.ParseFromString(file.read())
packets, kernel = collections.Counter(), collections.Counter()
tracks, depths = {}, collections.Counter()
begun, ended = set(), set()
faults = []
last = 0
for packet in trace.packet:
    packets[packet.WhichOneof("data")] += 1
    in_bundle = 0
    for event in packet.ftrace_events.event:
        kernel[event.WhichOneof("event")] += 1
        if event.timestamp < in_bundle:
            faults.append("a bundle is not in order")
        in_bundle = event.timestamp
    if packet.HasField("track_descriptor"):
        tracks[packet.track_descriptor.uuid] = packet.track_descriptor
    if packet.HasField("track_event"):
        event = packet.track_event
        if event.track_uuid not in tracks:
            faults.append("an event of a track that is not described before")
        depths[event.track_uuid] += {
            TrackEvent.TYPE_SLICE_BEGIN: 1,
            TrackEvent.TYPE_SLICE_END: -1,
        }.get(event.type, 0)
        if depths[event.track_uuid] < 0:
            faults.append("the end of a slice that has not begun")
        begun.update(event.flow_ids)
        ended.update(event.terminating_flow_ids)
for track in tracks.values():
    if track.parent_uuid and track.parent_uuid not in tracks:
        faults.append("a track in one that is not described")
json.dump(
    {
        "unknown_fields": unknown(trace),
        "packets": packets,
        "kernel": kernel,
        "open_slices": sum(depths.values()),
        "flows": len(begun),
        "flows_that_end_only": len(ended - begun),
        "faults": faults,
    },
    sys.stdout,
)
