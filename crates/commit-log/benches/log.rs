//! Appending to logs, beside plain writes of the same bytes, and finding an offset in one.

#![expect(missing_docs, reason = "criterion's macros make public functions")]
#![expect(clippy::unwrap_used, reason = "a bench that cannot run has failed")]

use std::hint::black_box;
use std::os::unix::fs::FileExt;

use commit_log::{Append, AppendAt, Directory, DirectoryConfig, Fresh, LogConfig, LogKey};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use disk::RealDisk;
use record::{Batch, BatchBuilder, Compression};
use types::{Durability, LeaderEpoch, LogId, Offset, PartitionId, Timestamp, TopicId};

const NOW: Timestamp = Timestamp::from_millis(0);

fn key(partition: u32) -> LogKey {
    LogKey { topic_id: TopicId::from_bytes([1; 16]), partition: PartitionId::new(partition) }
}

fn batch(bytes: usize) -> Batch {
    let mut builder = BatchBuilder::new(Compression::None);
    let value = vec![b'x'; bytes.saturating_sub(80)];
    builder.push(NOW, None, Some(&value), &[]).unwrap();
    builder.build().unwrap()
}

fn append(partition: u32, batch: &Batch) -> Append {
    let batches = vec![batch.clone()];
    Append { log: key(partition), epoch: LeaderEpoch::ZERO, batches, at: AppendAt::End }
}

fn directory(path: &std::path::Path, logs: u32, durability: Durability) -> Directory<RealDisk> {
    let fresh = Fresh::from_random([[1; 16], [2; 16]]);
    let mut directory =
        Directory::open(RealDisk, path, DirectoryConfig::default(), fresh, NOW).unwrap();
    let config = LogConfig { durability, ..LogConfig::default() };
    for log in 0..logs {
        let id = LogId::from_bytes([2; 16]);
        let mut id = id.to_bytes();
        id[..4].copy_from_slice(&log.to_be_bytes());
        directory
            .create_log(key(log), LogId::from_bytes(id), config.clone(), Offset::ZERO)
            .unwrap();
    }
    directory
}

/// Starts the log anew now and then, so that a long measurement does not fill the disk.
const REWIND_BYTES: u64 = 512 << 20;

fn appends(criterion: &mut Criterion) {
    for size in [16 << 10, 1 << 20] {
        let mut group = criterion.benchmark_group(format!("append {} KiB, page cache", size >> 10));
        group.throughput(Throughput::Bytes(size as u64));
        let batch = batch(size);
        let dir = tempfile::tempdir().unwrap();
        let mut directory = directory(dir.path(), 1, Durability::PageCache);
        let step = [append(0, &batch)];
        let mut written = 0;
        group.bench_function("log", |bencher| {
            bencher.iter(|| {
                written += size as u64;
                if written > REWIND_BYTES {
                    directory.reset(key(0), Offset::ZERO).unwrap();
                    written = 0;
                }
                black_box(directory.step(&step, NOW));
            });
        });
        let file = tempfile::tempfile_in(dir.path()).unwrap();
        group.bench_function("pwrite", |bencher| {
            bencher.iter(|| {
                written += size as u64;
                if written > REWIND_BYTES {
                    file.set_len(0).unwrap();
                    written = 0;
                }
                file.write_all_at(batch.bytes(), written).unwrap();
            });
        });
        group.finish();
    }
}

fn durable_appends(criterion: &mut Criterion) {
    for logs in [1_u32, 10, 100] {
        let mut group = criterion.benchmark_group(format!("durable append 4 KiB, {logs} logs"));
        group.throughput(Throughput::Elements(u64::from(logs)));
        let batch = batch(4 << 10);
        let dir = tempfile::tempdir().unwrap();
        let mut directory = directory(dir.path(), logs, Durability::Fsync);
        let step: Vec<Append> = (0..logs).map(|log| append(log, &batch)).collect();
        group.bench_function("step", |bencher| {
            bencher.iter(|| black_box(directory.step(&step, NOW)));
        });
        let file = tempfile::tempfile_in(dir.path()).unwrap();
        let mut end = 0;
        group.bench_function("one file, one fdatasync", |bencher| {
            bencher.iter(|| {
                for _ in 0..logs {
                    file.write_all_at(batch.bytes(), end).unwrap();
                    end += 4 << 10;
                }
                file.sync_data().unwrap();
            });
        });
        group.finish();
    }
}

fn lookups(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().unwrap();
    let mut directory = directory(dir.path(), 1, Durability::PageCache);
    let small = batch(256);
    let many = Append { batches: vec![small; 1000], ..append(0, &batch(256)) };
    for _ in 0..200 {
        directory.step(std::slice::from_ref(&many), NOW);
    }
    let reader = directory.reader(key(0)).unwrap();
    let end = reader.end().get();
    let mut state = 1_u64;
    let mut random_offset = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        Offset::new((state >> 33) % end)
    };
    criterion.bench_function("read one batch of 200,000 at random", |bencher| {
        bencher.iter_batched(
            &mut random_offset,
            |from| reader.read(from, 1, Offset::MAX).unwrap(),
            BatchSize::SmallInput,
        );
    });
    criterion.bench_function("read 1 MiB of small batches", |bencher| {
        bencher.iter(|| reader.read(Offset::ZERO, 1 << 20, Offset::MAX).unwrap());
    });
}

criterion_group!(benches, appends, durable_appends, lookups);
criterion_main!(benches);
