//! What one core encodes and decodes: batches of records with 100-byte values.

#![expect(clippy::unwrap_used, reason = "a bench that fails may stop")]
#![expect(missing_docs, reason = "criterion's macros write undocumented items")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use record::{Batch, BatchBuilder, Compression};
use types::Timestamp;

const RECORDS: u32 = 8_000;

fn value(index: u32) -> Vec<u8> {
    format!(r#"{{"carrier":"UA","flight":{index:08},"origin":"EWR","dest":"IAH","distance":1400,"air_time":227}}"#)
        .into_bytes()
        .into_iter()
        .chain(std::iter::repeat(b' '))
        .take(100)
        .collect()
}

fn encode(values: &[Vec<u8>], compression: Compression) -> Batch {
    let mut builder = BatchBuilder::with_capacity(compression, 1 << 20);
    for (at, value) in (1_700_000_000_000_i64..).zip(values) {
        builder.push(Timestamp::from_millis(at), None, Some(value), &[]).unwrap();
    }
    builder.build().unwrap()
}

fn codec(criterion: &mut Criterion) {
    let values: Vec<_> = (0..RECORDS).map(value).collect();
    let mut group = criterion.benchmark_group("100 byte values");
    group.throughput(Throughput::Elements(u64::from(RECORDS)));
    for compression in [Compression::None, Compression::Lz4] {
        let batch = encode(&values, compression);
        group.bench_function(format!("encode {compression}"), |bencher| {
            bencher.iter(|| encode(black_box(&values), compression));
        });
        group.bench_function(format!("verify {compression}"), |bencher| {
            bencher.iter(|| Batch::verify(black_box(batch.bytes().clone())).unwrap());
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

criterion_group!(benches, codec);
criterion_main!(benches);
