//! All kinds. Adding one is its file and its line here.
use super::AnyKind;
use crate::model::KindName;

pub static KINDS: &[&dyn AnyKind] = &[];

/// The kind of that name, if it is one of ours.
pub fn kind(name: &KindName) -> Option<&'static dyn AnyKind> {
    KINDS.iter().copied().find(|k| k.name() == name.as_str())
}
