use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::thread;

use disk::{Disk, FaultyDisk, FaultyFile, Operation, PlannedFault, RealDisk};
use proptest::prelude::*;

use super::*;

fn buffers(log_bytes: usize, bytes: usize) -> Arc<WriteBuffers> {
    Arc::new(WriteBuffers::new(WriteBufferConfig { log_bytes, bytes }))
}

fn reserved(buffers: &WriteBuffers) -> usize {
    buffers.reserved.load(Ordering::Relaxed)
}

fn file(disk: &FaultyDisk) -> WriteBehind<FaultyFile> {
    WriteBehind::new(disk.create_new(Path::new("/file")).unwrap())
}

/// What may happen to a file, in any order.
#[derive(Clone, Debug)]
enum Event {
    /// So many bytes are to be held, and are written where there is no memory.
    Append(usize),
    /// So many bytes are to be written.
    Write(usize),
    Flush,
    /// The disk refuses the next write, which a flush may bring about.
    RefusedFlush,
    Release,
    ReleaseUnused,
    Sync,
    /// All but so much of 255 parts is cut off.
    Cut(u8),
    Read(u8, usize),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (1_usize..200).prop_map(Event::Append),
        1 => (1_usize..200).prop_map(Event::Write),
        1 => Just(Event::Flush),
        2 => Just(Event::RefusedFlush),
        1 => Just(Event::Release),
        1 => Just(Event::ReleaseUnused),
        1 => Just(Event::Sync),
        1 => any::<u8>().prop_map(Event::Cut),
        4 => (any::<u8>(), 0_usize..500).prop_map(|(at, len)| Event::Read(at, len)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn nobody_can_tell_what_is_held(
        seed in any::<u64>(),
        log_bytes in 0_usize..1000,
        bytes in 0_usize..20_000,
        events in prop::collection::vec(event(), 1..60),
    ) {
        let (disk, buffers) = (FaultyDisk::new(seed), buffers(log_bytes, bytes));
        let (file, mut model) = (file(&disk), Vec::new());
        let mut next = 0_u8;
        let mut some = |count: usize| -> Vec<u8> {
            (0..count).map(|_| { next = next.wrapping_add(1); next }).collect()
        };
        for event in events {
            match event {
                Event::Append(count) => {
                    let new = some(count);
                    let (one, two) = new.split_at(count / 3);
                    let slices = [IoSlice::new(one), IoSlice::new(two)];
                    if file.hold(&slices, model.len() as u64, &buffers) == Hold::Full {
                        file.write_all_at(&new, model.len() as u64).unwrap();
                    }
                    model.extend(new);
                }
                Event::Write(count) => {
                    let new = some(count);
                    file.write_all_at(&new, model.len() as u64).unwrap();
                    model.extend(new);
                }
                Event::Flush => file.flush().unwrap(),
                Event::RefusedFlush => {
                    disk.fail(PlannedFault {
                        operation: Operation::Write,
                        path_contains: "file".to_owned(),
                        after: 0,
                        error: io::ErrorKind::StorageFull,
                    });
                    let refused = file.flush().is_err();
                    prop_assert_eq!(refused, disk.faults_to_come() == 0);
                    disk.forget_faults();
                }
                Event::Release => file.release(),
                Event::ReleaseUnused => file.release_unused(),
                Event::Sync => {
                    file.sync_data().unwrap();
                    prop_assert_eq!(file.file.len().unwrap(), model.len() as u64);
                }
                Event::Cut(part) => {
                    model.truncate(model.len() * usize::from(part) / 255);
                    file.set_len(model.len() as u64).unwrap();
                }
                Event::Read(part, count) => {
                    let at = model.len() * usize::from(part) / 255;
                    let count = count.min(model.len() - at);
                    prop_assert_eq!(
                        &file.read_vec_at(count, at as u64).unwrap(),
                        &model[at..at + count]
                    );
                }
            }
            prop_assert_eq!(file.len().unwrap(), model.len() as u64);
            prop_assert!(reserved(&buffers) <= bytes);
            let mut behind = [0; 1];
            prop_assert_eq!(file.read_at(&mut behind, model.len() as u64).unwrap(), 0);
        }
        prop_assert_eq!(&file.read_vec_at(model.len(), 0).unwrap(), &model);
        drop(file);
        prop_assert_eq!(reserved(&buffers), 0);
    }
}

#[test]
fn memory_is_kept_for_as_long_as_it_is_used() {
    let buffers = buffers(64 << 10, 1 << 20);
    let file = file(&FaultyDisk::new(1));
    let hold = |at| file.hold(&[IoSlice::new(&[7; 100])], at, &buffers);
    assert_eq!(hold(0), Hold::Held);
    assert_eq!(reserved(&buffers), FIRST_RESERVATION);
    file.release_unused();
    file.release();
    assert_eq!(reserved(&buffers), FIRST_RESERVATION, "something is held");
    file.flush().unwrap();
    assert_eq!(hold(100), Hold::Held);
    file.flush().unwrap();
    file.release_unused();
    assert_eq!(reserved(&buffers), FIRST_RESERVATION, "it was used since");
    file.release_unused();
    assert_eq!(reserved(&buffers), 0);
    assert_eq!(hold(200), Hold::Held);
    file.flush().unwrap();
    file.release();
    assert_eq!(reserved(&buffers), 0);
}

#[test]
fn readers_flushes_and_appends_of_many_threads_do_not_disturb_one_another() {
    const CHUNK: usize = 100;
    const CHUNKS: usize = 20_000;
    let dir = tempfile::tempdir().unwrap();
    let file = WriteBehind::new(RealDisk.create_new(&dir.path().join("file")).unwrap());
    let buffers = buffers(4000, 1 << 20);
    let (appended, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let byte = |at: usize| u8::try_from(at / CHUNK % 251).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                file.flush().unwrap();
            }
        });
        for step in [1, 7] {
            let (file, appended, over) = (&file, &appended, &over);
            scope.spawn(move || {
                let mut at = 0;
                while !over.load(Ordering::Relaxed) {
                    let end = appended.load(Ordering::Acquire);
                    let from = at % end.max(1);
                    let count = (end - from).min(5000);
                    let read = file.read_vec_at(count, from as u64).unwrap();
                    for (behind, found) in read.iter().enumerate() {
                        assert_eq!(*found, byte(from + behind));
                    }
                    at += step * 4999;
                }
            });
        }
        for number in 0..CHUNKS {
            let at = number * CHUNK;
            let chunk = [byte(at); CHUNK];
            while file.hold(&[IoSlice::new(&chunk)], at as u64, &buffers) == Hold::Full {
                file.flush().unwrap();
            }
            appended.store(at + CHUNK, Ordering::Release);
        }
        over.store(true, Ordering::Relaxed);
    });
    file.flush().unwrap();
    let all = file.file.read_vec_at(CHUNK * CHUNKS, 0).unwrap();
    assert!(all.iter().enumerate().all(|(at, found)| *found == byte(at)));
}
