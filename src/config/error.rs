//! What can be wrong with a configuration, and where: file, line, column, key, what is wrong, what is allowed.
use std::{fmt, io, ops::Range, path::PathBuf};
use toml::de::{DeTable, DeValue};

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    #[error("cannot read the configuration {}: {source}; name another with --config, or make this one readable", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("the configuration {} is larger than {bytes_max} bytes, the most that is read", path.display())]
    TooLarge { path: PathBuf, bytes_max: usize },
    #[error(transparent)]
    Invalid(Box<Fault>),
    #[error(
        "there is no place for the state: set `state_directory` in the configuration, or one of STATE_DIRECTORY, XDG_STATE_HOME and HOME"
    )]
    NoStateDirectory,
    #[error(
        "the socket's path {} has {} bytes, and Unix allows {bytes_max}: set `socket` under [control] to a shorter one",
        path.display(), path.as_os_str().len()
    )]
    SocketPathTooLong { path: PathBuf, bytes_max: usize },
}

/// One place in a file that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub file: PathBuf,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// `capture.every`, `policy[1].name`; empty where the text cannot be read at all.
    pub key: String,
    pub what: String,
    /// The known keys or words, where the fault is an unknown one.
    pub allowed: Vec<String>,
    /// The known one that the unknown one resembles.
    pub nearest: Option<String>,
    /// The line as it stands in the file.
    pub source_line: String,
    /// How many characters of the line are wrong, from `column` on; at least 1.
    pub width: usize,
}
impl std::error::Error for Fault {}
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: ", self.file.display(), self.line, self.column)?;
        if !self.key.is_empty() {
            write!(f, "`{}`: ", self.key)?;
        }
        f.write_str(&self.what)?;
        if let Some(nearest) = &self.nearest {
            write!(f, "; did you mean `{nearest}`?")?;
        }
        let number = self.line.to_string();
        let gutter = " ".repeat(number.len());
        // The marks keep the line's tabs, so that they stand under what they mean.
        let indent: String =
            self.source_line.chars().take(self.column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        write!(f, "\n{gutter} |\n{number} | {}\n{gutter} | {indent}{}", self.source_line, "^".repeat(self.width))?;
        if !self.allowed.is_empty() {
            let known: Vec<_> = self.allowed.iter().map(|a| format!("`{a}`")).collect();
            write!(f, "\nallowed here: {}", known.join(", "))?;
        }
        Ok(())
    }
}

impl Fault {
    /// A fault at a place in the text.
    pub(super) fn at(file: PathBuf, text: &str, span: Range<usize>, key: String, what: String) -> Self {
        let start = floor(text, span.start);
        let before = text.get(..start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        let rest = text.get(line_start..).unwrap_or_default();
        let source_line = rest.split('\n').next().unwrap_or_default().trim_end_matches('\r').to_owned();
        let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
        let marked = text.get(start..floor(text, span.end)).unwrap_or_default();
        let width = marked.split('\n').next().unwrap_or_default().trim_end().chars().count();
        Self {
            file,
            line: before.matches('\n').count() + 1,
            column,
            key,
            what,
            allowed: vec![],
            nearest: None,
            width: width.clamp(1, (source_line.chars().count() + 1).saturating_sub(column).max(1)),
            source_line,
        }
    }

    /// From an error of the TOML reader, whose words for unknown keys are turned into ours.
    pub(super) fn from_toml(file: PathBuf, text: &str, error: &toml::de::Error) -> Self {
        let mut span = error.span().unwrap_or(0..0);
        // A list is one place to the reader; our messages begin with the member that is meant.
        if let Some((member, _)) = error.message().strip_prefix('`').and_then(|m| m.split_once('`')) {
            span = member_of(text, span, member);
        }
        let (tree, _) = DeTable::parse_recoverable(text);
        let key = key_at(tree.get_ref(), span.start).unwrap_or_default();
        let mut fault = Self::at(file, text, span, key, error.message().trim_end().to_owned());
        // serde's words: "unknown field `a`, expected one of `b`, `c`"; the same for variants.
        let (is_field, is_word) =
            (fault.what.starts_with("unknown field `"), fault.what.starts_with("unknown variant `"));
        if is_field || is_word {
            let mut quoted = fault.what.split('`').skip(1).step_by(2).map(str::to_owned);
            let unknown = quoted.next().unwrap_or_default();
            fault.allowed = quoted.collect();
            fault.nearest = nearest(&unknown, &fault.allowed);
            fault.what = if is_field { "unknown key".to_owned() } else { format!("`{unknown}` is not known here") };
        }
        // Its words for our types mean nothing to a reader.
        if let Some((found, _)) = fault.what.split_once(", expected struct ") {
            fault.what = format!("{found}, expected a section, `[{}]`", fault.key);
        }
        fault.what = fault.what.replace("expected a sequence", "expected a list in `[` and `]`");
        fault
    }
}

/// The place of a text in the list that stands at `span`; `span` itself, if that is no list with such a member.
pub(super) fn member_of(text: &str, span: Range<usize>, member: &str) -> Range<usize> {
    let list = text.get(span.clone()).filter(|list| list.starts_with('[')).unwrap_or_default();
    let quoted = format!("\"{member}\"");
    match list.find(&quoted) {
        Some(at) => span.start + at..span.start + at + quoted.len(),
        None => span,
    }
}

/// The last character boundary that is not after `at`.
fn floor(text: &str, at: usize) -> usize {
    text.floor_char_boundary(at.min(text.len()))
}

/// The known word that an unknown one resembles: at most a third of its letters differ.
fn nearest(unknown: &str, known: &[String]) -> Option<String> {
    let plain = |s: &str| s.to_lowercase().replace('-', "_");
    let unknown = plain(unknown);
    let (distance, word) =
        known.iter().map(|k| (strsim::damerau_levenshtein(&unknown, &plain(k)), k)).min_by_key(|(d, _)| *d)?;
    (distance <= 1.max(unknown.chars().count() / 3)).then(|| word.clone())
}

/// The key that stands at, or whose value holds, a place in the text.
fn key_at(table: &DeTable<'_>, at: usize) -> Option<String> {
    let join =
        |key: &str, rest: String| if rest.starts_with('[') { format!("{key}{rest}") } else { format!("{key}.{rest}") };
    let mut table_header = None;
    for (key, value) in table {
        let name = key.get_ref();
        if let Some(rest) = inside(value.get_ref(), at) {
            return Some(join(name, rest));
        }
        if key.span().contains(&at) || value.span().contains(&at) || value.span().start == at {
            table_header.get_or_insert_with(|| name.to_string());
        }
    }
    table_header
}
fn inside(value: &DeValue<'_>, at: usize) -> Option<String> {
    match value {
        DeValue::Table(table) => key_at(table, at),
        DeValue::Array(items) => items.iter().enumerate().find_map(|(i, item)| {
            let here = format!("[{i}]");
            match inside(item.get_ref(), at) {
                Some(rest) if rest.starts_with('[') => Some(here + &rest),
                Some(rest) => Some(format!("{here}.{rest}")),
                None => (item.span().contains(&at) || item.span().start == at).then_some(here),
            }
        }),
        _ => None,
    }
}

/// Where the value of `table[index].key` stands; where the table itself does, if it has no such key.
pub(super) fn span_of(text: &str, table: &str, index: Option<usize>, key: &str) -> Range<usize> {
    let (tree, _) = DeTable::parse_recoverable(text);
    let found = tree.get_ref().get(table).and_then(|value| match index {
        Some(index) => value.get_ref().get(index),
        None => Some(value),
    });
    let Some(found) = found else { return 0..0 };
    found.get_ref().get(key).unwrap_or(found).span()
}
