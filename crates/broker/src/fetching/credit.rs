/// Bytes that a reader has granted and that were not sent yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Credit {
    left: u64,
}

impl Credit {
    /// The reader takes so many bytes more.
    pub(crate) fn grant(&mut self, bytes: u64) {
        self.left = self.left.saturating_add(bytes);
    }

    /// How much may be read at once, `most` at a time; `None` while nothing is granted.
    pub(crate) fn allowance(self, most: usize) -> Option<usize> {
        let left = usize::try_from(self.left).unwrap_or(usize::MAX).min(most);
        (left != 0).then_some(left)
    }

    /// So much was sent. A batch larger than the credit uses it up and leaves no debt: a reader
    /// that always grants the same must not come to a halt.
    pub(crate) fn spend(&mut self, bytes: usize) {
        self.left = self.left.saturating_sub(u64::try_from(bytes).unwrap_or(u64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_sent_without_a_grant() {
        assert_eq!(Credit::default().allowance(100), None);
    }

    #[test]
    fn grants_add_up_and_are_used_up() {
        let mut credit = Credit::default();
        credit.grant(60);
        credit.grant(60);
        assert_eq!(credit.allowance(100), Some(100));
        credit.spend(100);
        assert_eq!(credit.allowance(100), Some(20));
        credit.spend(20);
        assert_eq!(credit.allowance(100), None);
    }

    #[test]
    fn a_batch_larger_than_the_grant_leaves_no_debt() {
        let mut credit = Credit::default();
        credit.grant(10);
        credit.spend(5_000);
        assert_eq!(credit.allowance(100), None);
        credit.grant(10);
        assert_eq!(credit.allowance(100), Some(10));
    }

    #[test]
    fn a_grant_beyond_all_bounds_is_as_good_as_the_largest() {
        let mut credit = Credit::default();
        credit.grant(u64::MAX);
        credit.grant(u64::MAX);
        assert_eq!(credit.allowance(100), Some(100));
    }
}
