"""Reads a folder of TensorBoard event files with TensorBoard itself and prints {tag: [[step, value], ...]} as JSON.

    read_tensorboard.py DIR"""

import json
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

events = EventAccumulator(sys.argv[1])
events.Reload()
print(json.dumps({tag: [[event.step, event.value] for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}))
