#!/usr/bin/env python3
"""Kafka's own clients beside ours: they read the batches that we pack, and pack some for us.

    batches.py read FOLDER     each of FOLDER/<codec>.batch, by every library
    batches.py write FOLDER    FOLDER/<library>-<codec>.batch, by every library and codec

The records are spelled out here and in `tests/kafka_clients.rs`. Three libraries that share no code
with each other or with us: kafka-python and aiokafka, in Python with bindings to C codecs, and
librdkafka, whose mock cluster keeps the bytes that its producer sends and gives those that we put
there to its consumer.
"""

import pathlib
import socket
import struct
import sys

import confluent_kafka
from aiokafka.record.default_records import DefaultRecordBatch as AiokafkaBatch
from aiokafka.record.default_records import DefaultRecordBatchBuilder as AiokafkaBuilder
from kafka.record.default_records import DefaultRecordBatch as KafkaPythonBatch
from kafka.record.default_records import DefaultRecordBatchBuilder as KafkaPythonBuilder

CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
TOPIC = "records"
# Where a batch has the offset of its last record, counted from that of its first.
LAST_OFFSET_DELTA = 23


def record(number):
    """Half of it noise, half of it repeated; some 200 KiB over all, several blocks of any codec."""
    noise = bytes((number * number + at * (number + 7)) * 37 // 8 % 256 for at in range(number % 97))
    key = None if number % 3 == 0 else f"key {number}".encode()
    value = None if number % 11 == 0 else noise + b"the same in all of them " * (number % 7)
    headers = [("number", str(number).encode()), ("none", None), ("", b"")][:number % 4]
    return 1_700_000_000_000 + number * 13 % 1000, key, value, headers


RECORDS = [record(number) for number in range(2000)]


def read_in_python(library, batch):
    parsed = library(batch)
    assert parsed.validate_crc()
    return [(it.timestamp, it.key, it.value, list(it.headers)) for it in parsed]


def read_by_librdkafka(batch):
    consumer = confluent_kafka.Consumer({
        "test.mock.num.brokers": 1,
        "allow.auto.create.topics": True,
        "group.id": "tests",
        "check.crcs": True,
    })
    broker = next(iter(consumer.list_topics(TOPIC, timeout=30).brokers.values()))
    produce(broker, batch)
    consumer.assign([confluent_kafka.TopicPartition(TOPIC, 0, 0)])
    records = []
    while len(records) < len(RECORDS):
        message = consumer.poll(30)
        assert message is not None and message.error() is None, message and message.error()
        records.append((message.timestamp()[1], message.key(), message.value(), message.headers() or []))
    consumer.close()
    return records


def write_in_python(builder, codec):
    built = builder(magic=2, compression_type=CODECS[codec], is_transactional=False, producer_id=-1,
                    producer_epoch=-1, base_sequence=-1, batch_size=1 << 20)
    for offset, (timestamp, key, value, headers) in enumerate(RECORDS):
        assert built.append(offset, timestamp, key, value, headers)
    return bytes(built.build())


def write_by_librdkafka(codec):
    producer = confluent_kafka.Producer({
        "test.mock.num.brokers": 1,
        "compression.type": codec,
        "linger.ms": 5000,
        "batch.num.messages": len(RECORDS),
    })
    for timestamp, key, value, headers in RECORDS:
        producer.produce(TOPIC, value, key, partition=0, timestamp=timestamp, headers=headers)
    assert producer.flush(30) == 0
    broker = next(iter(producer.list_topics(timeout=30).brokers.values()))
    # Mostly one batch; a flush that begins while the topic is being looked up sends several. The
    # mock cluster answers with one at a time.
    batches, records = b"", 0
    while records < len(RECORDS):
        batch = fetch(broker, records)
        batches += batch
        records += 1 + struct.unpack_from(">i", batch, LAST_OFFSET_DELTA)[0]
    return batches


def text(value):
    return struct.pack(">h", len(value)) + value.encode()


def call(broker, api, version, body):
    """The body of an answer."""
    request = struct.pack(">hhi", api, version, 7) + text("tests") + body
    with socket.create_connection((broker.host, broker.port), timeout=30) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        stream = connection.makefile("rb")
        return stream.read(struct.unpack(">i", stream.read(4))[0])[4:]


def produce(broker, batch):
    """Puts a batch into partition 0, by Produce version 3."""
    partition = struct.pack(">ii", 0, len(batch)) + batch
    body = struct.pack(">hhi", -1, -1, 30_000)
    body += struct.pack(">i", 1) + text(TOPIC) + struct.pack(">i", 1) + partition
    answer = call(broker, 0, 3, body)
    # One topic with its name, one partition and its number.
    error = struct.unpack_from(">h", answer, 4 + 2 + len(TOPIC) + 4 + 4)[0]
    assert error == 0, error


def fetch(broker, offset):
    """The batch at an offset of partition 0, by Fetch version 4."""
    body = struct.pack(">iiiib", -1, 1000, 1, 1 << 20, 0)
    body += struct.pack(">i", 1) + text(TOPIC) + struct.pack(">iiqi", 1, 0, offset, 1 << 20)
    answer = call(broker, 1, 4, body)
    # Throttle time, one topic with its name, one partition and its number.
    at = 4 + 4 + 2 + len(TOPIC) + 4 + 4
    error, _high_watermark, _stable, aborted = struct.unpack_from(">hqqi", answer, at)
    assert (error, max(aborted, 0)) == (0, 0)
    length = struct.unpack_from(">i", answer, at + 22)[0]
    return answer[at + 26:at + 26 + length]


READERS = {
    "kafka-python": lambda batch: read_in_python(KafkaPythonBatch, batch),
    "aiokafka": lambda batch: read_in_python(AiokafkaBatch, batch),
    "librdkafka": read_by_librdkafka,
}
WRITERS = {
    "kafka-python": lambda codec: write_in_python(KafkaPythonBuilder, codec),
    "aiokafka": lambda codec: write_in_python(AiokafkaBuilder, codec),
    "librdkafka": write_by_librdkafka,
}

verb, folder = sys.argv[1], pathlib.Path(sys.argv[2])
for codec in CODECS:
    if verb == "read":
        ours = (folder / f"{codec}.batch").read_bytes()
        for library, read in READERS.items():
            assert read(ours) == RECORDS, f"{library} reads something else from {codec}"
            print(f"{library} reads {len(RECORDS)} records from {codec}")
    else:
        for library, write in WRITERS.items():
            (folder / f"{library}-{codec}.batch").write_bytes(write(codec))
