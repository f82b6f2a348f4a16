//! Keys are bytes, and names of nodes are text in which some characters cannot be. A key is written
//! so that names sort as the keys do, and that people can read most of it.

/// The name of a key's node.
///
/// Bytes up to `%` are written behind `%`, the two from `.` on behind `.`, those from `~` on behind
/// `~`: each sign sorts where what it stands for does, and none of the others stands for itself.
pub(super) fn name(key: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut name = String::with_capacity(key.len() + key.len() / 2);
    for byte in key {
        let sign = match byte {
            0..=b'%' => '%',
            b'.' | b'/' => '.',
            b'~'.. => '~',
            plain => {
                name.push(char::from(*plain));
                continue;
            }
        };
        name.push(sign);
        for digit in [byte >> 4, byte & 15] {
            name.extend(DIGITS.get(usize::from(digit)).copied().map(char::from));
        }
    }
    name
}

/// The key of a node; none if the name is not one that [`name`] gives.
pub(super) fn key(text: &str) -> Option<Vec<u8>> {
    let mut key = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        key.push(match byte {
            b'%' | b'.' | b'~' => {
                let digits = [bytes.next()?, bytes.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            plain => plain,
        });
    }
    (name(&key) == text).then_some(key)
}

#[cfg(test)]
mod tests {
    use client::tree::NodePath;

    use super::*;

    #[test]
    fn names_sort_as_keys_do_and_are_names_of_nodes() {
        let mut keys: Vec<Vec<u8>> = (0..=u8::MAX).map(|byte| vec![byte]).collect();
        keys.extend((0..=u8::MAX).map(|byte| vec![b'a', byte, 0]));
        keys.extend((0..=u8::MAX).map(|byte| vec![byte, b'.', b'/', 0xff]));
        keys.sort();
        let names: Vec<_> = keys.iter().map(|key| name(key)).collect();
        assert!(names.is_sorted());
        for (bytes, name) in keys.iter().zip(&names) {
            assert!(NodePath::root().child(name).is_ok(), "{name}");
            assert_eq!(key(name).as_ref(), Some(bytes));
            for other in &keys {
                let begins = super::name(other).starts_with(name.as_str());
                assert_eq!(begins, other.starts_with(bytes), "{name}");
            }
        }
        assert_eq!(name(b"version\0flights-value\0"), "version%00flights-value%00");
        assert_eq!((key("%"), key("%4"), key("%41"), key("~zz")), (None, None, None, None));
    }
}
