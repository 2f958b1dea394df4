//! Restore points: an instant, given as RFC 3339, as a time ago, or by name.
use super::{IncidentId, SessionId, Timestamp, key::NotAKey, key::serde_as_text};
use serde::{Deserialize, Serialize, de::Error as _};
use std::{fmt, str::FromStr};

const FORM: &str =
    "an RFC 3339 time, a time ago such as `2h` or `7d`, `before-incident:ID`, `before-session:ID`, or a label";

/// A named instant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum PointName {
    BeforeIncident(IncidentId),
    BeforeSession(SessionId),
    /// Set by the user: `rollbackd snapshot --label`.
    Label(String),
}
impl fmt::Display for PointName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BeforeIncident(id) => write!(f, "before-incident:{id}"),
            Self::BeforeSession(id) => write!(f, "before-session:{id}"),
            Self::Label(label) => write!(f, "{label}"),
        }
    }
}

/// What `--at` takes.
#[derive(Debug, Clone, PartialEq)]
pub enum At {
    Time(Timestamp),
    /// This long before now.
    Ago(jiff::SignedDuration),
    Named(PointName),
}
impl FromStr for At {
    type Err = NotAKey;
    fn from_str(s: &str) -> Result<Self, NotAKey> {
        let not = || NotAKey { text: s.into(), what: "a restore point", form: FORM };
        if let Some(id) = s.strip_prefix("before-incident:") {
            return Ok(Self::Named(PointName::BeforeIncident(id.parse()?)));
        }
        if let Some(id) = s.strip_prefix("before-session:") {
            return if id.is_empty() {
                Err(not())
            } else {
                Ok(Self::Named(PointName::BeforeSession(SessionId(id.into()))))
            };
        }
        if let Ok(time) = s.parse() {
            return Ok(Self::Time(time));
        }
        // A day is 24 hours here: an instant has no time zone.
        if let Ok(span) = s.parse::<jiff::Span>()
            && let Ok(ago) = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours())
        {
            return if ago.is_negative() { Err(not()) } else { Ok(Self::Ago(ago)) };
        }
        let label = s.len() <= 64
            && s.starts_with(|c: char| c.is_ascii_alphabetic())
            && s.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        if label { Ok(Self::Named(PointName::Label(s.into()))) } else { Err(not()) }
    }
}
impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(t) => write!(f, "{t}"),
            Self::Ago(d) => write!(f, "{d:#}"),
            Self::Named(n) => write!(f, "{n}"),
        }
    }
}
serde_as_text!(At);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_told_apart() {
        assert!(matches!("2026-03-01T10:00:00Z".parse(), Ok(At::Time(_))));
        assert!(matches!("2h".parse(), Ok(At::Ago(_))));
        assert!(matches!("90s".parse(), Ok(At::Ago(_))));
        assert_eq!("7d".parse(), Ok(At::Ago(jiff::SignedDuration::from_hours(7 * 24))));
        assert!(matches!("before-incident:inc-0a1b2c3d".parse(), Ok(At::Named(PointName::BeforeIncident(_)))));
        assert!(matches!("before-session:ASIAEXAMPLE".parse(), Ok(At::Named(PointName::BeforeSession(_)))));
        assert!(matches!("friday-release".parse(), Ok(At::Named(PointName::Label(_)))));
        for bad in ["", "-2h", "2026-13-01T00:00:00Z", "before-session:", "before-incident:7", "a b"] {
            assert!(bad.parse::<At>().is_err(), "{bad}");
        }
    }
}
