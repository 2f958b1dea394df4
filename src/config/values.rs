//! The forms that single settings take in a file: durations, bounded numbers, paths, globs, role ARNs, queue addresses.
//!
//! Each is checked while it is read, so that an error points at the value and not at its first use.
use crate::model::AccountId;
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{fmt, path::PathBuf, str::FromStr};

/// Durations as people write them: `30s`, `15m`, `1h 30m`, `90d`. A day is 24 hours; months and years have no length.
mod duration {
    use jiff::{SignedDuration, Span, SpanRelativeTo};
    use serde::{Deserializer, Serializer, de};
    use std::fmt;

    /// Ten years: longer than anything is kept, and far from where adding to an instant overflows.
    const MAX: SignedDuration = SignedDuration::from_hours(24 * 3650);
    pub const FORM: &str = "a number and a unit, such as `30s`, `15m`, `1h 30m` or `90d`";

    pub fn parse(text: &str, least: SignedDuration) -> Result<SignedDuration, String> {
        let span: Span = text.parse().map_err(|_| format!("`{text}` is not a duration; write {FORM}"))?;
        let duration = span
            .to_duration(SpanRelativeTo::days_are_24_hours())
            .map_err(|_| format!("`{text}` has a unit without a fixed length; write {FORM}"))?;
        if duration < least && least.is_zero() {
            return Err(format!("`{text}` is negative; write {FORM}"));
        }
        if duration < least {
            return Err(format!("`{text}` is not longer than zero; write {FORM}"));
        }
        if duration > MAX {
            return Err(format!("`{text}` is longer than `{}`, the most there can be", show(MAX)));
        }
        Ok(duration)
    }

    /// The shortest text that `parse` reads back as the same.
    pub fn show(duration: SignedDuration) -> String {
        let mut rest = duration.as_nanos();
        let mut words = vec![];
        for (unit, nanos) in [
            ("d", 86_400_000_000_000),
            ("h", 3_600_000_000_000),
            ("m", 60_000_000_000),
            ("s", 1_000_000_000),
            ("ms", 1_000_000),
            ("us", 1_000),
            ("ns", 1),
        ] {
            if rest >= nanos {
                words.push(format!("{}{unit}", rest / nanos));
                rest %= nanos;
            }
        }
        if words.is_empty() { "0s".into() } else { words.join(" ") }
    }

    struct Text(SignedDuration);
    impl de::Visitor<'_> for Text {
        type Value = SignedDuration;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a duration: {FORM}")
        }
        fn visit_str<E: de::Error>(self, text: &str) -> Result<SignedDuration, E> {
            parse(text, self.0).map_err(E::custom)
        }
    }
    pub fn read<'de, D: Deserializer<'de>>(d: D, least: SignedDuration) -> Result<SignedDuration, D::Error> {
        d.deserialize_str(Text(least))
    }
    pub fn write<S: Serializer>(duration: &SignedDuration, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&show(*duration))
    }
}

/// A duration longer than zero.
pub(super) mod above_zero {
    pub use super::duration::write as serialize;
    use jiff::SignedDuration;
    pub fn deserialize<'de, D: serde::Deserializer<'de>>(d: D) -> Result<SignedDuration, D::Error> {
        super::duration::read(d, SignedDuration::from_nanos(1))
    }
}

/// A duration that may be zero.
pub(super) mod zero_or_more {
    pub use super::duration::write as serialize;
    use jiff::SignedDuration;
    pub fn deserialize<'de, D: serde::Deserializer<'de>>(d: D) -> Result<SignedDuration, D::Error> {
        super::duration::read(d, SignedDuration::ZERO)
    }
}

/// A setting that may be left open: the empty text is `None`, because TOML has no word for nothing.
pub(super) mod unset {
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};
    use std::{fmt::Display, str::FromStr};

    pub fn serialize<T: Display, S: Serializer>(value: &Option<T>, s: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => s.collect_str(value),
            None => s.serialize_str(""),
        }
    }
    pub fn deserialize<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(d: D) -> Result<Option<T>, D::Error> {
        let text = String::deserialize(d)?;
        if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(D::Error::custom) }
    }
}

/// A whole number between two bounds, both included.
pub(super) fn between<'de, D: Deserializer<'de>, const LEAST: usize, const MOST: usize>(
    d: D,
) -> Result<usize, D::Error> {
    struct Number<const LEAST: usize, const MOST: usize>;
    impl<const LEAST: usize, const MOST: usize> serde::de::Visitor<'_> for Number<LEAST, MOST> {
        type Value = usize;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a whole number from {LEAST} to {MOST}")
        }
        fn visit_i64<E: serde::de::Error>(self, n: i64) -> Result<usize, E> {
            usize::try_from(n)
                .ok()
                .filter(|n| (LEAST..=MOST).contains(n))
                .ok_or_else(|| E::custom(format!("{n} is not a whole number from {LEAST} to {MOST}")))
        }
        /// TOML has signed numbers, JSON (settings that are sent to a daemon) also these.
        fn visit_u64<E: serde::de::Error>(self, n: u64) -> Result<usize, E> {
            self.visit_i64(i64::try_from(n).unwrap_or(i64::MAX))
        }
    }
    d.deserialize_i64(Number::<LEAST, MOST>)
}

/// An absolute path, or the empty text for the default.
pub(super) fn absolute<'de, D: Deserializer<'de>>(d: D) -> Result<PathBuf, D::Error> {
    let path = PathBuf::deserialize(d)?;
    if path.as_os_str().is_empty() || path.is_absolute() {
        return Ok(path);
    }
    Err(D::Error::custom(format!(
        "`{}` is a relative path; write it in full, beginning with `/` (`~` and variables are not expanded)",
        path.display()
    )))
}

/// Patterns over names, in which `*` stands for any text, `?` for one character, `[ab]` and `{a,b}` for a choice.
#[derive(Clone)]
pub struct Globs {
    texts: Vec<String>,
    set: GlobSet,
}
impl Globs {
    /// Compiles the patterns, or says which one is wrong and why.
    pub fn new(texts: Vec<String>) -> Result<Self, String> {
        let mut set = GlobSetBuilder::new();
        for text in &texts {
            if text.is_empty() {
                return Err("an empty pattern matches nothing; `*` matches everything".into());
            }
            set.add(GlobBuilder::new(text).build().map_err(|e| format!("`{text}` is not a pattern: {}", e.kind()))?);
        }
        let set = set.build().map_err(|e| format!("the patterns are too large together: {}", e.kind()))?;
        Ok(Self { texts, set })
    }
    pub fn is_match(&self, name: &str) -> bool {
        self.set.is_match(name)
    }
    /// There is no pattern, so that nothing matches.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }
    /// The patterns as written.
    pub fn as_texts(&self) -> &[String] {
        &self.texts
    }
    /// The pattern that matches everything.
    pub fn everything() -> Self {
        Self::new(vec!["*".into()]).expect("`*` is a pattern")
    }
}
impl Default for Globs {
    /// No pattern.
    fn default() -> Self {
        Self { texts: vec![], set: GlobSet::empty() }
    }
}
impl PartialEq for Globs {
    fn eq(&self, other: &Self) -> bool {
        self.texts == other.texts
    }
}
impl Eq for Globs {}
impl fmt::Debug for Globs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.texts.fmt(f)
    }
}
impl Serialize for Globs {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        self.texts.serialize(s)
    }
}
impl<'de> Deserialize<'de> for Globs {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Self::new(Vec::deserialize(d)?).map_err(D::Error::custom)
    }
}

/// At least one pattern.
pub(super) fn some_globs<'de, D: Deserializer<'de>>(d: D) -> Result<Globs, D::Error> {
    let globs = Globs::deserialize(d)?;
    if globs.is_empty() { Err(D::Error::custom("an empty list matches nothing; `[\"*\"]` is all")) } else { Ok(globs) }
}

/// Text of a form that a check knows, with what else it tells.
macro_rules! text_of_form {
    ($($t:ty),*) => { $(
        impl fmt::Display for $t {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
        impl Serialize for $t {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(self.as_str())
            }
        }
        impl<'de> Deserialize<'de> for $t {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                String::deserialize(d)?.parse().map_err(D::Error::custom)
            }
        }
    )* };
}

/// The ARN of an IAM role, of any partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleArn {
    text: String,
    account: AccountId,
}
impl RoleArn {
    pub fn as_str(&self) -> &str {
        &self.text
    }
    /// The account that the role belongs to.
    pub fn account(&self) -> &AccountId {
        &self.account
    }
}
impl FromStr for RoleArn {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let account = match text.splitn(6, ':').collect::<Vec<_>>()[..] {
            ["arn", partition, "iam", "", account, role] if !partition.is_empty() => {
                let name = role.strip_prefix("role/").unwrap_or_default();
                if name.is_empty() || name.ends_with('/') { None } else { account.parse().ok() }
            }
            _ => None,
        };
        match account {
            Some(account) => Ok(Self { text: text.to_owned(), account }),
            None => Err(format!("`{text}` is not the ARN of a role; write `arn:aws:iam::111122223333:role/NAME`")),
        }
    }
}

/// The address of an SQS queue, as `GetQueueUrl` answers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueUrl(String);
impl QueueUrl {
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// The host, without its port.
    pub fn host(&self) -> &str {
        let rest = self.0.split_once("://").map_or(self.0.as_str(), |(_, rest)| rest);
        let authority = rest.split('/').next().unwrap_or(rest);
        authority.rsplit_once(':').map_or(authority, |(host, _)| host)
    }
}
impl FromStr for QueueUrl {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let fits = text.split_once("://").is_some_and(|(scheme, rest)| {
            matches!(scheme, "https" | "http")
                && !text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '@')
                && rest.split_once('/').is_some_and(|(host, path)| !host.is_empty() && !path.is_empty())
        });
        if fits {
            return Ok(Self(text.to_owned()));
        }
        Err(format!(
            "`{text}` is not the URL of a queue; write `https://sqs.REGION.amazonaws.com/ACCOUNT/NAME`, the output QueueUrl of the stack"
        ))
    }
}

/// A tag of a resource, written `key=value`. What is before the first `=` is the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagText(String);
impl TagText {
    /// The most that the value of another tag can hold (EC2 "Tag restrictions"): copies carry the whole text in one.
    const CHARACTERS_MAX: usize = 256;
    pub fn as_str(&self) -> &str {
        &self.0
    }
    pub fn key(&self) -> &str {
        self.0.split_once('=').map_or(&self.0, |(key, _)| key)
    }
    pub fn value(&self) -> &str {
        self.0.split_once('=').map_or("", |(_, value)| value)
    }
}
impl FromStr for TagText {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if text.find('=').is_some_and(|at| at > 0) && text.chars().count() <= Self::CHARACTERS_MAX {
            return Ok(Self(text.to_owned()));
        }
        Err(format!("`{text}` is not a tag; write `key=value`, at most {} characters", Self::CHARACTERS_MAX))
    }
}
text_of_form!(RoleArn, QueueUrl, TagText);

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::SignedDuration;
    use proptest::prelude::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        let read = |text: &str| duration::parse(text, SignedDuration::ZERO);
        assert_eq!(read("15m"), Ok(SignedDuration::from_mins(15)));
        assert_eq!(read("1h 30m"), Ok(SignedDuration::from_mins(90)));
        assert_eq!(read("90d"), Ok(SignedDuration::from_hours(90 * 24)));
        assert_eq!(read("PT2S"), Ok(SignedDuration::from_secs(2)));
        assert_eq!(read("0s"), Ok(SignedDuration::ZERO));
        for bad in ["", "15", "m", "1 month", "1y", "-5m", "5 minutes ago", "4000d"] {
            let why = read(bad).unwrap_err();
            assert!(why.starts_with(&format!("`{bad}` ")), "{why}");
        }
        assert!(duration::parse("0s", SignedDuration::from_nanos(1)).is_err());
    }

    proptest! {
        #[test]
        fn a_duration_is_shown_as_it_is_read(nanos in 0..=24 * 3650 * 3_600_000_000_000_i64) {
            let duration = SignedDuration::from_nanos(nanos);
            prop_assert_eq!(duration::parse(&duration::show(duration), SignedDuration::ZERO), Ok(duration));
        }
        #[test]
        fn any_text_is_a_value_or_an_error(text in ".*") {
            let _: Result<_, _> = duration::parse(&text, SignedDuration::ZERO);
            let _: Result<_, _> = Globs::new(vec![text.clone()]);
            let _: Result<_, _> = text.parse::<RoleArn>();
            let _: Result<_, _> = text.parse::<QueueUrl>();
        }
    }

    #[test]
    fn a_bad_pattern_says_what_is_wrong() {
        assert_eq!(
            Globs::new(vec!["ec2:*".into(), "rds:[".into()]).unwrap_err(),
            "`rds:[` is not a pattern: unclosed character class; missing ']'"
        );
        let globs = Globs::new(vec!["ec2:{vpc,subnet}".into(), "s3:*".into()]).unwrap();
        assert!(globs.is_match("ec2:vpc") && globs.is_match("s3:bucket.policy"));
        assert!(!globs.is_match("ec2:vpc-endpoint"));
    }

    #[test]
    fn arns_and_urls_of_any_partition() {
        let role: RoleArn = "arn:aws-cn:iam::111122223333:role/ops/restore".parse().unwrap();
        assert_eq!(role.account().as_str(), "111122223333");
        for bad in [
            "",
            "restore",
            "arn:aws:iam::111122223333:user/x",
            "arn:aws:iam::1:role/x",
            "arn:aws:iam::111122223333:role/",
            "arn:aws:sts::111122223333:assumed-role/x/y",
        ] {
            assert!(bad.parse::<RoleArn>().is_err(), "{bad}");
        }
        let queue: QueueUrl = "https://sqs.cn-north-1.amazonaws.com.cn/111122223333/rollbackd".parse().unwrap();
        assert_eq!(queue.host(), "sqs.cn-north-1.amazonaws.com.cn");
        let local: QueueUrl = "http://127.0.0.1:5000/111122223333/q".parse().unwrap();
        assert_eq!(local.host(), "127.0.0.1");
        for bad in
            ["", "rollbackd", "arn:aws:sqs:eu-west-1:111122223333:q", "https://host", "ftp://h/q", "https://h/a b"]
        {
            assert!(bad.parse::<QueueUrl>().is_err(), "{bad}");
        }
    }
}
