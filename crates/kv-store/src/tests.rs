//! The law of [`KvStore`], held against both implementations.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::{
    Committed, KvError, KvStore, MAX_KEY_LEN, MAX_VALUE_LEN, MemoryStore, SledStore, Transaction,
};

fn on_every_store(law: impl Fn(&dyn KvStore)) {
    law(&MemoryStore::default());
    let dir = tempfile::tempdir().unwrap();
    law(&SledStore::open(dir.path()).unwrap());
}

#[track_caller]
fn committed(store: &dyn KvStore, transaction: Transaction) {
    assert_eq!(store.commit(transaction).unwrap(), Committed::Yes);
}

#[track_caller]
fn keys(store: &dyn KvStore, prefix: &str, after: Option<&str>, limit: usize) -> Vec<String> {
    let found = store.scan(prefix.as_bytes(), after.map(str::as_bytes), limit).unwrap();
    found.into_iter().map(|(key, _)| String::from_utf8(key).unwrap()).collect()
}

#[test]
fn a_check_that_fails_leaves_everything_as_it_was() {
    on_every_store(|store| {
        committed(store, Transaction::new().put("a", "1"));
        let stale = Transaction::new().put("b", "2").delete("a").expect("a", "0");
        assert_eq!(store.commit(stale).unwrap(), Committed::Conflict { key: b"a".to_vec() });
        let present = Transaction::new().put("b", "2").expect_absent("a");
        assert_eq!(store.commit(present).unwrap(), Committed::Conflict { key: b"a".to_vec() });
        assert_eq!(keys(store, "", None, 9), ["a"]);
        let right = Transaction::new().expect("a", "1").expect_absent("b").put("a", "2");
        committed(store, right);
        assert_eq!(store.get(b"a").unwrap(), Some(b"2".to_vec()));
    });
}

#[test]
fn a_scan_stays_within_its_prefix_and_continues_behind_a_key() {
    on_every_store(|store| {
        let mut transaction = Transaction::new();
        for key in ["s", "s/", "s/a", "s/b", "s/c", "s0", "t"] {
            transaction = transaction.put(key, "");
        }
        committed(store, transaction);
        assert_eq!(keys(store, "s/", None, 9), ["s/", "s/a", "s/b", "s/c"]);
        assert_eq!(keys(store, "s/", Some("s/a"), 9), ["s/b", "s/c"]);
        assert_eq!(keys(store, "s/", Some("s/a"), 1), ["s/b"]);
        assert_eq!(keys(store, "s/", Some("a"), 1), ["s/"]);
        assert!(keys(store, "s/", Some("t"), 9).is_empty());
        assert!(keys(store, "s/", None, 0).is_empty());
    });
}

#[test]
fn keys_and_values_have_a_limit_and_its_error_changes_nothing() {
    on_every_store(|store| {
        committed(store, Transaction::new().put("full", vec![1; MAX_VALUE_LEN]));
        let value = Transaction::new().put("a", "1").put("big", vec![0; MAX_VALUE_LEN + 1]);
        assert!(matches!(store.commit(value), Err(KvError::ValueTooLong { length: 65_537, .. })));
        let key = Transaction::new().put("a", "1").put(vec![0; MAX_KEY_LEN + 1], "");
        assert!(matches!(store.commit(key), Err(KvError::KeyTooLong { length: 4_097 })));
        assert_eq!(keys(store, "", None, 9), ["full"]);
    });
}

#[test]
fn a_put_wins_over_a_delete_of_the_same_key() {
    on_every_store(|store| {
        committed(store, Transaction::new().put("a", "1").put("a", "2").delete("a"));
        assert_eq!(store.get(b"a").unwrap(), Some(b"2".to_vec()));
    });
}

fn a_transaction() -> impl Strategy<Value = Transaction> {
    let key = || vec(b'a'..=b'c', 0..4);
    let value = || vec(any::<u8>(), 0..6);
    let checks = vec((key(), proptest::option::of(value())), 0..2);
    (checks, vec(key(), 0..3), vec((key(), value()), 0..3)).prop_map(|(checks, deletes, puts)| {
        let mut transaction = Transaction::new();
        for (key, expected) in checks {
            transaction = match expected {
                Some(value) => transaction.expect(key, value),
                None => transaction.expect_absent(key),
            };
        }
        transaction = deletes.into_iter().fold(transaction, Transaction::delete);
        puts.into_iter().fold(transaction, |all, (key, value)| all.put(key, value))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn sled_and_memory_answer_alike_also_after_reopening(
        lives in vec(vec(a_transaction(), 0..12), 1..4),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let memory = MemoryStore::default();
        for transactions in lives {
            let sled = SledStore::open(dir.path()).unwrap();
            for transaction in transactions {
                prop_assert_eq!(sled.commit(transaction.clone()).unwrap(), memory.commit(transaction).unwrap());
            }
            let all = |store: &dyn KvStore| -> BTreeMap<_, _> {
                store.scan(b"", None, usize::MAX).unwrap().into_iter().collect()
            };
            prop_assert_eq!(all(&sled), all(&memory));
        }
    }
}
