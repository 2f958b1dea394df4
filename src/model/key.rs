//! Which resource: partition, account, region, kind and id, as in
//! `aws/111122223333/eu-west-1/ec2:subnet/subnet-0a12`.
use serde::{Deserialize, Serialize, de::Error as _};
use std::{fmt, str::FromStr};

/// A text that is no key, and what a key looks like.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {what}; expected {form}")]
pub struct NotAKey {
    pub text: String,
    pub what: &'static str,
    pub form: &'static str,
}

/// Text checked on the way in, whose form is checked by `$ok`.
macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident, $what:literal, $form:literal, $ok:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        pub struct $name(String);
        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl FromStr for $name {
            type Err = NotAKey;
            fn from_str(s: &str) -> Result<Self, NotAKey> {
                let ok: fn(&str) -> bool = $ok;
                if ok(s) { Ok(Self(s.to_owned())) } else { Err(NotAKey { text: s.to_owned(), what: $what, form: $form }) }
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                String::deserialize(d)?.parse().map_err(D::Error::custom)
            }
        }
    };
}
pub(crate) use checked_text;

fn word(s: &str) -> bool {
    !s.is_empty() && s.len() <= 64 && s.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

checked_text!(
    /// `aws`, `aws-cn`, `aws-us-gov`, …
    Partition, "a partition", "a name such as `aws`", word
);
checked_text!(
    /// A twelve-digit AWS account.
    AccountId, "an account id", "twelve digits", |s| s.len() == 12 && s.bytes().all(|b| b.is_ascii_digit())
);
checked_text!(
    /// `eu-west-1`, …
    Region, "a region", "a name such as `eu-west-1`", word
);
checked_text!(
    /// A kind's stored name, such as `ec2:vpc` or `s3:bucket.policy`. Never changes once it is on a disk.
    KindName, "a kind", "`service:kind`, such as `ec2:vpc`", |s| {
        s.split_once(':').is_some_and(|(service, kind)| word(service) && kind.split('.').all(word))
    }
);

impl Partition {
    /// The partition that a region belongs to, by its prefix (AWS General Reference, "Region codes").
    pub fn of_region(region: &Region) -> Self {
        let name = match region.as_str() {
            r if r.starts_with("cn-") => "aws-cn",
            r if r.starts_with("us-gov-") => "aws-us-gov",
            r if r.starts_with("us-isob-") => "aws-iso-b",
            r if r.starts_with("us-iso-") => "aws-iso",
            r if r.starts_with("eusc-") => "aws-eusc",
            _ => "aws",
        };
        Self(name.to_owned())
    }
}

/// One account in one region: what a client speaks to and a sweep captures.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope {
    pub partition: Partition,
    pub account: AccountId,
    pub region: Region,
}
impl Scope {
    pub fn new(account: AccountId, region: Region) -> Self {
        Self { partition: Partition::of_region(&region), account, region }
    }
    pub fn key(&self, kind: KindName, id: impl Into<String>) -> ResourceKey {
        ResourceKey { scope: self.clone(), kind, id: id.into() }
    }
}
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.partition, self.account, self.region)
    }
}
impl FromStr for Scope {
    type Err = NotAKey;
    fn from_str(s: &str) -> Result<Self, NotAKey> {
        let mut parts = s.splitn(3, '/');
        let (Some(p), Some(a), Some(r)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NotAKey {
                text: s.into(),
                what: "an account and region",
                form: "`aws/111122223333/eu-west-1`",
            });
        };
        Ok(Self { partition: p.parse()?, account: a.parse()?, region: r.parse()? })
    }
}

/// One resource, everywhere and for ever: an id of a deleted resource is never given to another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceKey {
    pub scope: Scope,
    pub kind: KindName,
    pub id: String,
}
impl fmt::Display for ResourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.scope, self.kind, self.id)
    }
}
impl FromStr for ResourceKey {
    type Err = NotAKey;
    fn from_str(s: &str) -> Result<Self, NotAKey> {
        let form = "`aws/111122223333/eu-west-1/ec2:vpc/vpc-0a12`";
        let parts: Vec<&str> = s.splitn(5, '/').collect();
        let [partition, account, region, kind, id] = parts[..] else {
            return Err(NotAKey { text: s.into(), what: "a resource", form });
        };
        if id.is_empty() || id.len() > super::limits::ID_BYTES_MAX {
            return Err(NotAKey { text: s.into(), what: "a resource", form });
        }
        let scope = Scope { partition: partition.parse()?, account: account.parse()?, region: region.parse()? };
        Ok(Self { scope, kind: kind.parse()?, id: id.to_owned() })
    }
}

macro_rules! serde_as_text { ($($t:ty),*) => { $(
    impl Serialize for $t {
        fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> { s.collect_str(self) }
    }
    impl<'de> Deserialize<'de> for $t {
        fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> { String::deserialize(d)?.parse().map_err(D::Error::custom) }
    }
)* } }
pub(crate) use serde_as_text;
serde_as_text!(Scope, ResourceKey);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_read_back_as_written() {
        for text in ["aws/111122223333/eu-west-1/ec2:vpc/vpc-0a", "aws-cn/111122223333/cn-north-1/s3:bucket.policy/a/b"]
        {
            assert_eq!(text.parse::<ResourceKey>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "vpc-1",
            "aws/1/eu-west-1/ec2:vpc/vpc-1",
            "aws/111122223333/eu-west-1/vpc/vpc-1",
            "aws/111122223333/eu-west-1/ec2:vpc/",
        ] {
            assert!(text.parse::<ResourceKey>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_region_knows_its_partition() {
        let of = |r: &str| Partition::of_region(&r.parse().unwrap()).to_string();
        assert_eq!([of("eu-west-1"), of("cn-north-1"), of("us-gov-west-1")], ["aws", "aws-cn", "aws-us-gov"]);
    }
}
