#!/usr/bin/env bash
# Guess: a run is killed after step 5 and resumed at step 3 in the same folder; TensorBoard's reader, which has
#   purge_orphaned_data=True, drops the old steps 3 to 5, so each step is there once.
# Seen (tensorboard 2.20.0): it keeps them: 1, 2, 3, 4, 5, 3, 4, 5, 6. Only a writer that says so itself, with an event
#   "session log: start", has older steps dropped.
# Who meets it: anybody who resumes a run and reads its curve, or the best of its values, from the event files.
exec "$(dirname "${BASH_SOURCE[0]}")/fresh" tensorboard==2.20.0 <<'PY'
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter


def write(folder, steps, part, says_so=False):
    writer = EventFileWriter(folder, filename_suffix=part)
    if says_so:
        writer.add_event(Event(wall_time=10, step=steps[0], session_log=SessionLog(status=SessionLog.START)))
    for step in steps:
        value = Summary.Value(tag="loss", simple_value=1 / step)
        writer.add_event(Event(wall_time=step, step=step, summary=Summary(value=[value])))
    writer.close()


def read(folder):
    return [event.step for event in EventAccumulator(folder, purge_orphaned_data=True).Reload().Scalars("loss")]


for folder, says_so in (("quiet", False), ("said", True)):
    write(folder, [1, 2, 3, 4, 5], ".a")
    write(folder, [3, 4, 5, 6], ".b", says_so)
    print(folder, read(folder))
assert read("quiet") == [1, 2, 3, 4, 5, 3, 4, 5, 6]
assert read("said") == [1, 2, 3, 4, 5, 6]
PY
