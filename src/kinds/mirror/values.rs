//! Values with a JSON form of their own.
use super::{BuildError, FromSdk, Give, Given, Misfit, Plain};
use aws_smithy_types::{Blob, DateTime, date_time::Format};
use serde_json::Value;
use std::collections::BTreeMap;

/// The user's tags. Those under `aws:` belong to the service that wrote them: no call may set them (H26). Those under
/// `rollbackd:` are ours and go when a restore ends: neither is configuration.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tags(pub BTreeMap<String, String>);
impl Plain for Tags {
    fn to_json(&self) -> Value {
        self.0.to_json()
    }
    fn from_json(v: &Value) -> Result<Self, Misfit> {
        BTreeMap::from_json(v).map(Self)
    }
    fn absent() -> Option<Self> {
        Some(Self::default())
    }
    fn is_absent(&self) -> bool {
        self.0.is_empty()
    }
}
/// A key that the user may write.
pub fn is_users_tag(key: &str) -> bool {
    !key.starts_with("aws:") && !key.starts_with("rollbackd:")
}
/// Each service crate has a tag type of its own.
pub trait Tag: Sized {
    fn pair(&self) -> (String, String);
    fn make(key: &str, value: &str) -> Result<Self, BuildError>;
}
impl<S: Tag> FromSdk<Vec<S>> for Tags {
    fn from_sdk(v: &Vec<S>) -> Self {
        Self(v.iter().map(S::pair).filter(|(k, _)| is_users_tag(k)).collect())
    }
}
impl<S: Tag> FromSdk<Option<Vec<S>>> for Tags {
    fn from_sdk(v: &Option<Vec<S>>) -> Self {
        v.as_ref().map(Self::from_sdk).unwrap_or_default()
    }
}
impl<D: Tag> Give<Vec<D>> for Tags {
    fn give(&self) -> Given<Vec<D>> {
        if self.0.is_empty() {
            return Ok(None);
        }
        self.0.iter().map(|(k, v)| D::make(k, v)).collect::<Result<_, _>>().map(Some)
    }
}
pub fn text(v: impl Into<Option<String>>) -> String {
    v.into().unwrap_or_default()
}
#[macro_export]
macro_rules! tag { ($($t:ty),*) => { $(
    impl $crate::kinds::mirror::Tag for $t {
        fn pair(&self) -> (String, String) { ($crate::kinds::mirror::text(self.key.clone()), $crate::kinds::mirror::text(self.value.clone())) }
        fn make(key: &str, value: &str) -> Result<Self, $crate::kinds::mirror::BuildError> { $crate::kinds::mirror::Built::built(Self::builder().key(key).value(value).build()) }
    }
)* } }

/// A policy document, as JSON rather than as text: its spelling means nothing, and ids in it can be found.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy(pub Value);
impl Plain for Policy {
    fn to_json(&self) -> Value {
        self.0.clone()
    }
    fn from_json(v: &Value) -> Result<Self, Misfit> {
        Ok(Self(v.clone()))
    }
}
impl FromSdk<String> for Policy {
    fn from_sdk(v: &String) -> Self {
        Self(serde_json::from_str(v).unwrap_or_else(|_| v.clone().into()))
    }
}
impl Give<String> for Policy {
    fn give(&self) -> Given<String> {
        Ok(Some(self.0.as_str().map_or_else(|| self.0.to_string(), str::to_owned)))
    }
}

/// An instant, as RFC 3339 text.
#[derive(Debug, Clone, PartialEq)]
pub struct Stamp(pub String);
impl Plain for Stamp {
    fn to_json(&self) -> Value {
        self.0.clone().into()
    }
    fn from_json(v: &Value) -> Result<Self, Misfit> {
        String::from_json(v).map(Self)
    }
}
impl FromSdk<DateTime> for Stamp {
    fn from_sdk(v: &DateTime) -> Self {
        Self(v.fmt(Format::DateTime).unwrap_or_else(|_| v.secs().to_string()))
    }
}
impl Give<DateTime> for Stamp {
    fn give(&self) -> Given<DateTime> {
        DateTime::from_str(&self.0, Format::DateTime).map(Some).map_err(BuildError::other)
    }
}

/// Bytes, as base64 text.
#[derive(Debug, Clone, PartialEq)]
pub struct Bytes(pub String);
impl Plain for Bytes {
    fn to_json(&self) -> Value {
        self.0.clone().into()
    }
    fn from_json(v: &Value) -> Result<Self, Misfit> {
        String::from_json(v).map(Self)
    }
}
impl FromSdk<Blob> for Bytes {
    fn from_sdk(v: &Blob) -> Self {
        Self(aws_smithy_types::base64::encode(v))
    }
}
impl Give<Blob> for Bytes {
    fn give(&self) -> Given<Blob> {
        aws_smithy_types::base64::decode(&self.0).map(|b| Some(Blob::new(b))).map_err(BuildError::other)
    }
}
