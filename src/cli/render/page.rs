//! A page of text for people. Every text that is put on it is made harmless here, so no view can forget to.
use super::neutral;
use crate::model::Timestamp;
use comfy_table::{Attribute, Cell, ColumnConstraint, ContentArrangement, Table, presets};
use std::fmt::{Display, Write};

/// What a page must know of where it is shown.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// Columns of the terminal; `None`: no terminal, so nothing is wrapped.
    pub width: Option<u16>,
    pub colour: bool,
    /// For ages.
    pub now: Timestamp,
}

/// What stands before a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    Add,
    Change,
    Gone,
    Same,
    Claim,
    Skip,
    Trouble,
    Good,
    Error,
}
impl Mark {
    fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Change => "~",
            Self::Gone => "-",
            Self::Same => "=",
            Self::Claim => "^",
            Self::Skip | Self::Trouble => "!",
            Self::Good => "*",
            Self::Error => "error:",
        }
    }
    fn colour(self) -> &'static str {
        match self {
            Self::Add | Self::Good => "32",
            Self::Change | Self::Skip => "33",
            Self::Gone => "31",
            Self::Same => "36",
            Self::Claim => "35",
            Self::Trouble | Self::Error => "1;31",
        }
    }
}

/// The least that must be left for the columns that may be wrapped, else nothing is.
const WRAPPED_COLUMNS_MIN: u16 = 24;
const BOLD: &str = "1";
const FAINT: &str = "2";

pub struct Page<'a> {
    out: String,
    look: &'a Look,
}
impl<'a> Page<'a> {
    pub fn new(look: &'a Look) -> Self {
        Self { out: String::new(), look }
    }
    pub fn look(&self) -> &Look {
        self.look
    }
    pub fn text(self) -> String {
        self.out
    }

    /// The first line of a page.
    pub fn title(&mut self, text: impl Display) {
        self.painted(0, BOLD, &text.to_string());
    }
    /// A heading, with an empty line before it.
    pub fn heading(&mut self, text: impl Display) {
        self.gap();
        self.painted(0, BOLD, &text.to_string());
    }
    pub fn gap(&mut self) {
        if !self.out.is_empty() {
            self.out.push('\n');
        }
    }
    pub fn line(&mut self, indent: usize, text: impl Display) {
        self.put(indent, &text.to_string());
        self.out.push('\n');
    }
    pub fn faint(&mut self, indent: usize, text: impl Display) {
        self.painted(indent, FAINT, &text.to_string());
    }
    /// A text of several lines.
    pub fn lines(&mut self, indent: usize, text: &str) {
        for line in text.lines() {
            self.line(indent, line.replace('\t', "    "));
        }
    }
    /// A line behind its symbol.
    pub fn mark(&mut self, indent: usize, mark: Mark, text: impl Display) {
        self.marked("", indent, mark, &text.to_string());
    }
    /// The same with a text before the symbol.
    pub fn marked(&mut self, before: &str, indent: usize, mark: Mark, text: &str) {
        self.put(indent, before);
        self.sgr(mark.colour(), mark.symbol());
        self.out.push(' ');
        self.put(0, text);
        self.out.push('\n');
    }
    /// `Label      text`
    pub fn field(&mut self, label: &str, text: impl Display) {
        self.line(2, format_args!("{label:<10} {text}"));
    }
    /// What to type next.
    pub fn next(&mut self, what: &str, command: impl Display) {
        self.line(2, format_args!("{what}: rollbackd {command}"));
    }

    /// A table. The first `whole` columns are never wrapped: what stands there is copied.
    pub fn table(&mut self, indent: usize, header: &[&str], whole: usize, rows: impl IntoIterator<Item = Vec<String>>) {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        let bold = |text: &&str| {
            let cell = Cell::new(text);
            if self.look.colour { cell.add_attribute(Attribute::Bold) } else { cell }
        };
        table.set_header(header.iter().map(bold));
        for row in rows {
            table.add_row(row.iter().map(|cell| neutral(cell).into_owned()));
        }
        table.force_no_tty();
        if self.look.colour {
            table.enforce_styling();
        }
        let taken: u16 = table.column_max_content_widths().iter().take(whole).map(|w| w.saturating_add(2)).sum();
        let room = self.look.width.map(|w| w.saturating_sub(u16::try_from(indent).unwrap_or(0)));
        match room {
            Some(room) if room.saturating_sub(taken) >= WRAPPED_COLUMNS_MIN => {
                table.set_content_arrangement(ContentArrangement::Dynamic);
                table.set_width(room);
            }
            // Columns of a few letters are worse to read than lines that the terminal wraps.
            _ => {
                table.set_content_arrangement(ContentArrangement::Disabled);
            }
        }
        for (i, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, 2));
            if i < whole {
                column.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
        for line in table.lines() {
            let line = line.trim_end();
            self.out.extend(std::iter::repeat_n(' ', if line.is_empty() { 0 } else { indent }));
            self.out.push_str(line);
            self.out.push('\n');
        }
    }

    fn painted(&mut self, indent: usize, colour: &str, text: &str) {
        self.put(indent, "");
        self.sgr(colour, text);
        self.out.push('\n');
    }
    fn sgr(&mut self, colour: &str, text: &str) {
        let text = neutral(text);
        // Writing to a string cannot fail.
        let _infallible =
            if self.look.colour { write!(self.out, "\x1b[{colour}m{text}\x1b[0m") } else { self.out.write_str(&text) };
    }
    fn put(&mut self, indent: usize, text: &str) {
        self.out.extend(std::iter::repeat_n(' ', indent));
        self.out.push_str(&neutral(text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVIL: &str = "x\u{1b}[31mred\u{202e}\r\n[1/1] forged";

    #[test]
    fn whatever_is_put_on_a_page_is_harmless() {
        let look = Look { width: Some(80), colour: false, now: Timestamp::UNIX_EPOCH };
        let mut page = Page::new(&look);
        page.title(EVIL);
        page.heading(EVIL);
        page.line(2, EVIL);
        page.faint(2, EVIL);
        page.lines(2, EVIL);
        page.mark(2, Mark::Add, EVIL);
        page.marked(EVIL, 2, Mark::Add, EVIL);
        page.field("Name", EVIL);
        page.next("Then", EVIL);
        page.table(2, &["A"], 1, [vec![EVIL.to_owned()]]);
        let text = page.text();
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
        assert!(!text.contains('\u{202e}') && text.contains("\\u{1b}[31mred\\u{202e}"), "{text}");
    }

    #[test]
    fn colours_only_where_they_are_wanted() {
        let page = |colour| {
            let look = Look { width: None, colour, now: Timestamp::UNIX_EPOCH };
            let mut page = Page::new(&look);
            page.mark(0, Mark::Add, "vpc");
            page.table(0, &["ID"], 1, [vec!["vpc".to_owned()]]);
            page.text()
        };
        assert_eq!(page(false), "+ vpc\nID\nvpc\n");
        assert!(page(true).starts_with("\x1b[32m+\x1b[0m vpc\n\x1b[1m"), "{:?}", page(true));
    }

    #[test]
    fn a_narrow_terminal_wraps_text_and_never_what_is_copied() {
        let look = Look { width: Some(50), colour: false, now: Timestamp::UNIX_EPOCH };
        let mut page = Page::new(&look);
        let id = "subnet-0a1b2c3d4e5f60718";
        page.table(0, &["ID", "WHY"], 1, [vec![id.to_owned(), "many words that do not fit on the line".repeat(2)]]);
        let text = page.text();
        assert!(text.contains(id) && text.lines().count() > 3 && text.lines().all(|l| l.len() <= 50), "{text}");
    }
}
