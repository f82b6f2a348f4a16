//! Figures as people read them.

/// Without digits behind the point, and with commas between thousands.
pub fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A time, given in microseconds, in three digits or so.
pub fn micros(micros: f64) -> String {
    match micros {
        short if short < 1_000.0 => format!("{short:.0} us"),
        medium if medium < 100_000.0 => format!("{:.2} ms", medium / 1e3),
        long => format!("{:.0} ms", long / 1e3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_easy_to_read() {
        assert_eq!(grouped(1_234_567.4), "1,234,567");
        assert_eq!(grouped(999.0), "999");
        assert_eq!(grouped(0.2), "0");
        assert_eq!(micros(87.4), "87 us");
        assert_eq!(micros(1_234.0), "1.23 ms");
        assert_eq!(micros(200_400.0), "200 ms");
    }
}
