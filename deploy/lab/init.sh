#!/bin/sh
# What the lab begins with: a topic and its schema. Run again, it changes nothing.
set -eu
dohle topic create people --partitions 3 --if-not-exists
dohle schema register people-value "$(dirname "$0")/person.avsc"
