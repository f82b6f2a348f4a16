//! What one core encodes, checks and decodes: batches of about 1 MiB before they are packed.

#![expect(clippy::unwrap_used, reason = "a bench that fails may stop")]
#![expect(missing_docs, reason = "criterion's macros write undocumented items")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use record::{Batch, BatchBuilder, Compression};
use types::Timestamp;

/// The values of a batch: so many of so many bytes.
#[derive(Clone, Copy)]
struct Shape {
    records: u32,
    value_bytes: usize,
}

const SHAPES: [Shape; 2] =
    [Shape { records: 8_000, value_bytes: 100 }, Shape { records: 1_000, value_bytes: 1024 }];

fn value(index: u32, bytes: usize) -> Vec<u8> {
    let flight = |index: u32| {
        // Numbers that no codec foresees.
        let number = index.wrapping_mul(2_654_435_761);
        let distance = number % 4983;
        let text = format!(
            r#"{{"carrier":"UA","flight":{number:08},"origin":"EWR","dest":"IAH","distance":{distance},"air_time":227}}"#
        );
        text.into_bytes()
    };
    (index..).flat_map(flight).take(bytes).collect()
}

fn encode(values: &[Vec<u8>], compression: Compression) -> Batch {
    let mut builder = BatchBuilder::with_capacity(compression, 1 << 20);
    for (at, value) in (1_700_000_000_000_i64..).zip(values) {
        builder.push(Timestamp::from_millis(at), None, Some(value), &[]).unwrap();
    }
    builder.build().unwrap()
}

fn codec(criterion: &mut Criterion) {
    for Shape { records, value_bytes } in SHAPES {
        let values: Vec<_> = (0..records).map(|index| value(index, value_bytes)).collect();
        let mut group = criterion.benchmark_group(format!("{value_bytes} byte values"));
        group.throughput(Throughput::Elements(u64::from(records)));
        for compression in Compression::ALL.iter().copied() {
            let batch = encode(&values, compression);
            group.bench_function(format!("encode {compression}"), |bencher| {
                bencher.iter(|| encode(black_box(&values), compression));
            });
            group.bench_function(format!("verify {compression}"), |bencher| {
                bencher.iter(|| Batch::verify(black_box(batch.bytes().clone())).unwrap());
            });
            // What a broker does: verify, and check every record.
            group.bench_function(format!("split {compression}"), |bencher| {
                bencher.iter(|| Batch::split(black_box(batch.bytes().clone()), 1 << 30).unwrap());
            });
            group.bench_function(format!("stamp {compression}"), |bencher| {
                bencher.iter(|| black_box(&batch).clone().appended_at(Timestamp::from_millis(9)));
            });
            group.bench_function(format!("decode borrowed {compression}"), |bencher| {
                bencher.iter(|| {
                    let records = black_box(&batch).records().unwrap();
                    let bytes = records.views().map(|view| view.unwrap().value.unwrap().len());
                    bytes.sum::<usize>()
                });
            });
            group.bench_function(format!("decode owned {compression}"), |bencher| {
                bencher.iter(|| {
                    let records = black_box(&batch).records().unwrap();
                    records.map(|record| record.unwrap().value.unwrap().len()).sum::<usize>()
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, codec);
criterion_main!(benches);
