#!/usr/bin/env python3
"""Prints every row of the Avro files below a directory, one JSON object a line; bytes as hex.

    rows.py DIRECTORY

Reads with fastavro, not with anything of ours. Names that begin with _ or . are not data.
"""
import json
import pathlib
import sys

import fastavro

top = pathlib.Path(sys.argv[1])
for path in sorted(top.rglob("*.avro")):
    if not any(part.startswith(("_", ".")) for part in path.relative_to(top).parts):
        with path.open("rb") as container:
            for row in fastavro.reader(container):
                print(json.dumps(row, default=bytes.hex))
