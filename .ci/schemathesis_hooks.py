"""What schemathesis cannot know from the document: ids of what there is, and which requests never end."""

import os
import random

import schemathesis


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    """Every other id is one of an object that exists."""
    path = context.operation.path
    known = os.environ["ORCH_NODE"] if "/nodes/" in path else os.environ["ORCH_SERVICE"]
    if path_parameters and "id" in path_parameters and random.random() < 0.5:
        path_parameters["id"] = known
    return path_parameters


@schemathesis.hook
def filter_case(context, case):
    """Streams go on for as long as the reader wants."""
    follow = str((case.query or {}).get("follow", "")).lower()
    return follow in ("", "false")
