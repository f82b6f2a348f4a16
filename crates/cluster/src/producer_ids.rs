use types::{ProducerId, Revision};

/// Producer ids that a broker may give out, each once.
///
/// They follow from the revision of the command that allocated them, which no other command ever
/// has. So nothing has to be remembered, and nothing can be forgotten: a block whose broker died,
/// or whose answer was lost, is never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerIdBlock {
    /// The first of them.
    pub first: ProducerId,
    /// How many there are.
    pub count: u32,
}

impl ProducerIdBlock {
    /// How many ids a block has: Kafka's number. Blocks of another size would overlap with those
    /// that were given out before, so that it can never change.
    pub const COUNT: u32 = 1000;

    /// The block of the command at `revision`; `None` once they are used up: the record format
    /// holds an id as `i64`.
    pub fn of(revision: Revision) -> Option<Self> {
        let first = revision.get().checked_mul(u64::from(Self::COUNT))?;
        let end = first.checked_add(u64::from(Self::COUNT))?;
        let first = ProducerId::new(first);
        i64::try_from(end).is_ok().then_some(Self { first, count: Self::COUNT })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_of_one_revision_and_the_next_do_not_overlap() {
        for revision in [0, 1, 2, 999, 1000, 1_000_000_007] {
            let block = |revision| ProducerIdBlock::of(Revision::new(revision)).unwrap();
            let end = block(revision).first.get() + u64::from(block(revision).count);
            assert_eq!(block(revision + 1).first, ProducerId::new(end));
        }
    }

    #[test]
    fn ids_end_where_the_record_format_does() {
        let largest = i64::MAX.unsigned_abs();
        let last = largest / u64::from(ProducerIdBlock::COUNT) - 1;
        assert!(ProducerIdBlock::of(Revision::new(last)).is_some());
        for behind in [last + 1, u64::MAX / 1000, u64::MAX] {
            assert_eq!(ProducerIdBlock::of(Revision::new(behind)), None);
        }
    }
}
