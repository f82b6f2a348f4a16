use std::fmt;

/// Rows in columns, or lines of a name and a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these column names, in capitals.
    pub(crate) fn new<const N: usize>(head: [&str; N]) -> Self {
        Self { head: head.iter().map(|name| name.to_uppercase()).collect(), rows: Vec::new() }
    }

    /// Two columns without names.
    pub(crate) const fn facts() -> Self {
        Self { head: Vec::new(), rows: Vec::new() }
    }

    /// Adds a row.
    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }

    /// Adds a line of a name and a value.
    pub(crate) fn fact(&mut self, name: &str, value: impl fmt::Display) {
        self.row([name.to_owned(), value.to_string()]);
    }

    fn lines(&self) -> impl Iterator<Item = &Vec<String>> {
        Some(&self.head).into_iter().filter(|head| !head.is_empty()).chain(&self.rows)
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = Vec::new();
        for line in self.lines() {
            for (column, cell) in line.iter().enumerate() {
                let width = cell.chars().count();
                match widths.get_mut(column) {
                    Some(widest) => *widest = width.max(*widest),
                    None => widths.push(width),
                }
            }
        }
        widths
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths();
        for line in self.lines() {
            let mut text = String::new();
            for (cell, width) in line.iter().zip(&widths) {
                text.push_str(cell);
                let pad = (width + 2).saturating_sub(cell.chars().count());
                text.extend(std::iter::repeat_n(' ', pad));
            }
            writeln!(f, "{}", text.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_whatever_they_hold() {
        let mut table = Table::new(["name", "partitions"]);
        table.row(["orders".into(), "3".into()]);
        table.row(["öl".into(), "12".into()]);
        assert_eq!(table.to_string(), "NAME    PARTITIONS\norders  3\nöl      12\n");
    }

    #[test]
    fn facts_have_no_heading() {
        let mut table = Table::facts();
        table.fact("id", 7);
        table.fact("leader", "none");
        assert_eq!(table.to_string(), "id      7\nleader  none\n");
    }
}
