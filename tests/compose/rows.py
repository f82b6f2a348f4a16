"""Reads Avro container files, a line of Base64 each, and prints the ages of their rows as JSON."""

import base64
import io
import json
import sys

import fastavro

ages = []
for line in sys.stdin:
    if line.strip():
        ages.extend(row["age"] for row in fastavro.reader(io.BytesIO(base64.b64decode(line))))
print(json.dumps(ages))
