#!/usr/bin/env python3
"""Chooses the inputs that together reach the most, each one what reaches most beyond those before it.

    fewest.py CONTROL-FILE MOST FOLDER

CONTROL-FILE is what libFuzzer's -merge_control_file leaves after -set_cover_merge: how many inputs,
how many of them count already, their names, then of each by its number what it reaches. libFuzzer
itself knows no bound.
"""

import shutil
import sys
from pathlib import Path

control, most, folder = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
lines = control.read_text().splitlines()
inputs = [Path(name) for name in lines[2 : 2 + int(lines[0])]]
reached = {}
for line in lines[2 + len(inputs) :]:
    what, number, *features = line.split()
    if what == "FT":
        reached[inputs[int(number)]] = set(features)

if not reached:
    sys.exit(f"{control} says of no input what it reaches")
for _ in range(most):
    best = max(reached, key=lambda path: (len(reached[path]), -path.stat().st_size, path.name))
    new = reached[best]
    if not new:
        break
    shutil.copy(best, folder)
    reached = {path: features - new for path, features in reached.items()}
