//! Specs: what of an AWS answer is kept, and how it is given back.
//!
//! `mirror!` is a table over one SDK output type; every field is kept, reported or dropped with a reason.
//! `input!` is a table over one SDK input type; every setter is fed from a spec or left with a reason.
//! The field's own Rust type says how a value is converted, in both directions, so there is no converter to pick and
//! none to get wrong: `Option<String>` takes text and enums, `Ref<ec2::Vpc>` an id, `Set<T>` a list in any order,
//! `Vec<T>` a list whose order means something, `Tags`, `Policy`, `Stamp`, `Bytes`.
//!
//! Specs are written as canonical JSON only, so they implement `Plain` (one method each way) instead of deriving
//! serde: a third less to compile (README), and errors that name the path. `Serialize` and `Deserialize` go through it.
mod convert;
mod plain;
mod reference;
#[cfg(test)]
mod sample;
mod values;

/// All service crates share it.
pub use aws_smithy_types::error::operation::BuildError;
pub use convert::{Built, FromSdk, Give, Given, Input, pluck};
pub use plain::{Change, Members, Misfit, Plain, RowKeys, Set, change, merged, put};
pub use reference::{AnyLateRef, AnyRef, LateRef, Named, Ref, kind_of};
#[cfg(test)]
pub use sample::{Sample, Seed};
pub use values::{Bytes, Policy, Stamp, Tag, Tags, is_users_tag, text};

// ---- what becomes of a field --------------------------------------------------------------------------------------

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// In the spec; given back on restore.
    Keep,
    /// In the spec so that a plan can tell; no call can give it back. The text says why.
    Report(&'static str),
    /// Known and left out. The text says why.
    Drop(&'static str),
    /// On the wire, but this SDK version does not parse it. Reaches us through the raw answer alone.
    Gap(&'static str),
}

pub struct Field {
    pub name: &'static str,
    pub wire: &'static str,
    pub fate: Fate,
    /// It points at another resource.
    pub refers: bool,
    /// A question that a person has yet to answer. Ships empty.
    pub judge: &'static [&'static str],
}

/// The table of one output type.
pub struct Coverage {
    pub sdk: &'static str,
    pub fields: &'static [Field],
    /// `{:?}` of the type's empty builder, which names every field the SDK has. Empty for unions: they have no builder.
    #[cfg(test)]
    pub probe: fn() -> String,
}

impl Coverage {
    /// The model's name of the type, but for upper and lower case.
    pub fn shape(&self) -> String {
        last_segment(self.sdk)
    }

    /// Fields of the compiled SDK without a fate, or fates without a field.
    #[cfg(test)]
    pub fn against_sdk(&self) -> Vec<String> {
        let ours = self.fields.iter().filter(|f| !matches!(f.fate, Fate::Gap(_))).map(|f| f.name);
        differences(self.sdk, &(self.probe)(), ours)
    }

    /// Wire names that the service model has and we do not, or the reverse.
    pub fn against_model(&self, wires: &[String]) -> Vec<String> {
        let ours: Vec<_> = self.fields.iter().map(|f| f.wire).filter(|w| !w.is_empty()).collect();
        let missing =
            wires.iter().filter(|w| !ours.contains(&w.as_str())).map(|w| format!("{}: no row for {w}", self.sdk));
        let unknown = ours
            .iter()
            .filter(|w| !wires.iter().any(|m| m == *w))
            .map(|w| format!("{}: the model has no {w}", self.sdk));
        let twice = ours
            .iter()
            .enumerate()
            .filter(|(i, w)| ours[..*i].contains(w))
            .map(|(_, w)| format!("{}: {w} twice", self.sdk));
        missing.chain(unknown).chain(twice).collect()
    }
}

/// The table of one input type.
pub struct Inputs {
    pub sdk: &'static str,
    pub given: &'static [&'static str],
    pub left: &'static [(&'static str, &'static str)],
    #[cfg(test)]
    pub probe: fn() -> String,
}

#[cfg(test)]
impl Inputs {
    /// Setters of the compiled SDK that the table does not mention, or the reverse.
    pub fn against_sdk(&self) -> Vec<String> {
        let given = self.given.iter().map(|s| s.strip_prefix("set_").unwrap_or(s));
        differences(self.sdk, &(self.probe)(), given.chain(self.left.iter().map(|l| bare(l.0))))
    }
}

#[cfg(test)]
fn differences<'a>(what: &str, rendered: &str, ours: impl Iterator<Item = &'a str>) -> Vec<String> {
    if rendered.is_empty() {
        return vec![];
    }
    let sdk = debug_fields(rendered);
    let ours: Vec<_> = ours.collect();
    if sdk.is_empty() && !ours.is_empty() {
        return vec![format!("{what}: the probe saw no field")];
    }
    let missing = sdk.iter().filter(|f| !ours.contains(&f.as_str())).map(|f| format!("{what}: no fate for {f}"));
    let gone = ours.iter().filter(|f| !sdk.iter().any(|s| s == *f)).map(|f| format!("{what}: the SDK has no {f}"));
    missing.chain(gone).collect()
}

/// Field names at depth one of a derived `{:?}`; those with a leading underscore are the SDK's own.
#[cfg(test)]
pub fn debug_fields(rendered: &str) -> Vec<String> {
    let (mut depth, mut quoted, mut word, mut out) = (0, false, String::new(), vec![]);
    for c in rendered.chars() {
        match c {
            '"' => quoted = !quoted,
            _ if quoted => {}
            '{' | '[' | '(' => {
                depth += 1;
                word.clear()
            }
            '}' | ']' | ')' => {
                depth -= 1;
                word.clear()
            }
            ':' if depth == 1 && !word.is_empty() => {
                let name = std::mem::take(&mut word);
                if !name.starts_with('_') {
                    out.push(name)
                }
            }
            c if depth == 1 && (c.is_alphanumeric() || c == '_') => word.push(c),
            _ => word.clear(),
        }
    }
    out
}

fn last_segment(path: &str) -> String {
    path.rsplit(':').next().unwrap_or(path).trim().to_owned()
}

/// `r#type` is `type` on paper.
pub const fn bare(name: &'static str) -> &'static str {
    match name.as_bytes() {
        [b'r', b'#', ..] => name.split_at(2).1,
        _ => name,
    }
}

// ---- the tables ---------------------------------------------------------------------------------------------------

/// One row per field of the SDK type, in one of five blocks, each optional and in this order:
/// `keep { field @ "wire": Type, }`, `report { field @ "wire": Type = "why", }`, `drop { field @ "wire": "why", }`,
/// `gap { "wire": "why", }`, `also { field: Type, }` (filled from another read, `absent()` until then).
/// `#[judge = "…"]` before a row is a question for a person.
#[macro_export]
macro_rules! mirror {
    (
        $(#[doc = $doc:literal])*
        $name:ident from $sdk:ty $(, key [$($key:ident),*])?;
        $(keep { $( $(#[judge = $kj:literal])* $k:ident @ $kw:literal: $kt:ty ),* $(,)? })?
        $(report { $( $(#[judge = $rj:literal])* $r:ident @ $rw:literal: $rt:ty = $rwhy:literal ),* $(,)? })?
        $(drop { $( $(#[judge = $dj:literal])* $d:ident @ $dw:literal: $dwhy:literal ),* $(,)? })?
        $(gap { $( $gw:literal: $gwhy:literal ),* $(,)? })?
        $(also { $( $a:ident: $at:ty ),* $(,)? })?
    ) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name { $($( pub $k: $kt, )*)? $($( pub $r: $rt, )*)? $($( pub $a: $at, )*)? }

        impl $name {
            pub const COVERAGE: $crate::kinds::mirror::Coverage = $crate::kinds::mirror::Coverage {
                sdk: stringify!($sdk),
                fields: &[
                    $($( $crate::kinds::mirror::Field { name: $crate::kinds::mirror::bare(stringify!($k)), wire: $kw, fate: $crate::kinds::mirror::Fate::Keep, refers: <$kt as $crate::kinds::mirror::Plain>::IS_REFERENCE, judge: &[$($kj),*] }, )*)?
                    $($( $crate::kinds::mirror::Field { name: $crate::kinds::mirror::bare(stringify!($r)), wire: $rw, fate: $crate::kinds::mirror::Fate::Report($rwhy), refers: false, judge: &[$($rj),*] }, )*)?
                    $($( $crate::kinds::mirror::Field { name: $crate::kinds::mirror::bare(stringify!($d)), wire: $dw, fate: $crate::kinds::mirror::Fate::Drop($dwhy), refers: false, judge: &[$($dj),*] }, )*)?
                    $($( $crate::kinds::mirror::Field { name: "", wire: $gw, fate: $crate::kinds::mirror::Fate::Gap($gwhy), refers: false, judge: &[] }, )*)?
                ],
                #[cfg(test)]
                probe: || format!("{:?}", <$sdk>::builder()),
            };
        }
        impl $crate::kinds::mirror::FromSdk<$sdk> for $name {
            #[allow(deprecated, unused_variables)]
            fn from_sdk(sdk: &$sdk) -> Self {
                $($( let _ = &sdk.$d; )*)? // a dropped field must exist, or its reason is about nothing
                Self {
                    $($( $k: $crate::kinds::mirror::FromSdk::from_sdk(&sdk.$k), )*)?
                    $($( $r: $crate::kinds::mirror::FromSdk::from_sdk(&sdk.$r), )*)?
                    $($( $a: <$at as $crate::kinds::mirror::Plain>::absent().expect("`also` fields are optional"), )*)?
                }
            }
        }
        impl $crate::kinds::mirror::Plain for $name {
            const KEY: &'static [&'static str] = &[$($($crate::kinds::mirror::bare(stringify!($key))),*)?];
            #[allow(unused_variables)]
            fn row_keys(path: &str, out: &mut $crate::kinds::mirror::RowKeys) {
                let at = |member: &str| if path.is_empty() { member.to_owned() } else { format!("{path}.{member}") };
                $($( <$kt as $crate::kinds::mirror::Plain>::row_keys(&at($crate::kinds::mirror::bare(stringify!($k))), out); )*)?
                $($( <$rt as $crate::kinds::mirror::Plain>::row_keys(&at($crate::kinds::mirror::bare(stringify!($r))), out); )*)?
                $($( <$at as $crate::kinds::mirror::Plain>::row_keys(&at($crate::kinds::mirror::bare(stringify!($a))), out); )*)?
            }
            fn to_json(&self) -> serde_json::Value {
                #[allow(unused_mut)] let mut m = serde_json::Map::new();
                $($( $crate::kinds::mirror::put(&mut m, $crate::kinds::mirror::bare(stringify!($k)), &self.$k); )*)?
                $($( $crate::kinds::mirror::put(&mut m, $crate::kinds::mirror::bare(stringify!($r)), &self.$r); )*)?
                $($( $crate::kinds::mirror::put(&mut m, $crate::kinds::mirror::bare(stringify!($a)), &self.$a); )*)?
                serde_json::Value::Object(m)
            }
            fn from_json(v: &serde_json::Value) -> Result<Self, $crate::kinds::mirror::Misfit> {
                #[allow(unused_mut)] let mut m = $crate::kinds::mirror::Members::of(v)?;
                let out = Self {
                    $($( $k: m.take($crate::kinds::mirror::bare(stringify!($k)))?, )*)?
                    $($( $r: m.take($crate::kinds::mirror::bare(stringify!($r)))?, )*)?
                    $($( $a: m.take($crate::kinds::mirror::bare(stringify!($a)))?, )*)?
                };
                m.done().map(|()| out)
            }
            /// A part of which nothing is kept is no configuration: `operator: { managed: false }` says nothing. Where no
            /// field is dropped, an empty part may mean something: a lifecycle rule's empty filter matches every object.
            fn is_absent(&self) -> bool {
                let dropped: &[&str] = &[$($($dwhy),*)?];
                !dropped.is_empty() $($( && $crate::kinds::mirror::Plain::is_absent(&self.$k) )*)? $($( && $crate::kinds::mirror::Plain::is_absent(&self.$r) )*)? $($( && $crate::kinds::mirror::Plain::is_absent(&self.$a) )*)?
            }
        }
        $crate::through_plain!($name);
        #[cfg(test)]
        impl $crate::kinds::mirror::Sample for $name {
            #[allow(unused_variables)]
            fn sample(s: &mut $crate::kinds::mirror::Seed) -> Self {
                Self { $($( $k: $crate::kinds::mirror::Sample::sample(s), )*)? $($( $r: $crate::kinds::mirror::Sample::sample(s), )*)? $($( $a: $crate::kinds::mirror::Sample::sample(s), )*)? }
            }
        }
    };
}

/// A mirror of an SDK union: exactly one of its forms.
#[macro_export]
macro_rules! either {
    ( $(#[doc = $doc:literal])* $name:ident from $sdk:ident :: $ty:ident; $( $v:ident @ $w:literal: $t:ty ),* $(,)? ) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, PartialEq)]
        pub enum $name { $( $v($t), )* /** A form that this SDK version does not know. */ Unknown }
        impl $name {
            pub const COVERAGE: $crate::kinds::mirror::Coverage = $crate::kinds::mirror::Coverage {
                sdk: stringify!($sdk::$ty),
                fields: &[ $( $crate::kinds::mirror::Field { name: stringify!($v), wire: $w, fate: $crate::kinds::mirror::Fate::Keep, refers: false, judge: &[] } ),* ],
                #[cfg(test)]
                probe: String::new,
            };
        }
        impl $crate::kinds::mirror::FromSdk<$sdk::$ty> for $name {
            fn from_sdk(sdk: &$sdk::$ty) -> Self { match sdk { $( $sdk::$ty::$v(x) => Self::$v($crate::kinds::mirror::FromSdk::from_sdk(x)), )* _ => Self::Unknown } }
        }
        impl $crate::kinds::mirror::Give<$sdk::$ty> for $name {
            fn give(&self) -> $crate::kinds::mirror::Given<$sdk::$ty> {
                match self { $( Self::$v(x) => Ok($crate::kinds::mirror::Give::give(x)?.map($sdk::$ty::$v)), )* Self::Unknown => Err($crate::kinds::mirror::BuildError::other(concat!("unknown form of ", stringify!($ty)))) }
            }
        }
        impl $crate::kinds::mirror::Plain for $name {
            fn to_json(&self) -> serde_json::Value { match self { $( Self::$v(x) => serde_json::json!({ stringify!($v): $crate::kinds::mirror::Plain::to_json(x) }), )* Self::Unknown => serde_json::json!({ "Unknown": true }) } }
            fn from_json(v: &serde_json::Value) -> Result<Self, $crate::kinds::mirror::Misfit> {
                let mut m = $crate::kinds::mirror::Members::of(v)?;
                let mut out = Self::Unknown;
                $( if let Some(x) = m.take::<Option<$t>>(stringify!($v))? { out = Self::$v(x); } )*
                m.take::<Option<bool>>("Unknown")?;
                m.done().map(|()| out)
            }
        }
        $crate::through_plain!($name);
        #[cfg(test)]
        impl $crate::kinds::mirror::Sample for $name {
            fn sample(s: &mut $crate::kinds::mirror::Seed) -> Self { let all: &[fn(&mut $crate::kinds::mirror::Seed) -> Self] = &[$( |s| Self::$v($crate::kinds::mirror::Sample::sample(s)) ),*]; let i = s.next() as usize % all.len(); all[i](s) }
        }
    };
}

/// serde by way of `Plain`: specs exist as JSON only.
#[macro_export]
macro_rules! through_plain {
    ($name:ident) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                $crate::kinds::mirror::Plain::to_json(self).serialize(s)
            }
        }
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                $crate::kinds::mirror::Plain::from_json(&serde_json::Value::deserialize(d)?)
                    .map_err(serde::de::Error::custom)
            }
        }
    };
}

/// One row per setter of the input type. `input! { Spec => create_volume(CreateVolumeInputBuilder); set { .. } leave { .. } }`
/// makes `spec.create_volume()?`, an input builder for `.send_with(&client)`; `input! { Row => sdk::Type; .. }` makes a
/// nested value. Paths: `set_x: field`, `set_x: optional.field`, `set_x: list[].field` (of each row),
/// `set_x: list[0].field` (of the first: AWS answers with a list of one), `set_x: whole` (this very value).
#[macro_export]
macro_rules! input {
    ( $name:ident => $call:ident ( $sdk:ty ); $(set { $( $set:ident: $a:ident $(. $b:ident)* $([$($i:literal)?] . $c:ident)? ),* $(,)? })? $(leave { $( $l:ident: $why:literal ),* $(,)? })? ) => {
        impl $name {
            pub fn $call(&self) -> Result<$sdk, $crate::kinds::mirror::BuildError> {
                #[allow(deprecated)]
                Ok(<$sdk>::default() $($( .$set($crate::dig!(self; $a $(. $b)* $([$($i)?] . $c)?)?) )*)?)
            }
        }
        $crate::input!(@table $name, $sdk, <$sdk>::default(), [$($($set)*)?], [$($($l: $why)*)?]);
    };
    ( $name:ident => $sdk:ty; $(set { $( $set:ident: $a:ident $(. $b:ident)* $([$($i:literal)?] . $c:ident)? ),* $(,)? })? $(leave { $( $l:ident: $why:literal ),* $(,)? })? ) => {
        impl $crate::kinds::mirror::Give<$sdk> for $name {
            #[allow(deprecated)]
            fn give(&self) -> $crate::kinds::mirror::Given<$sdk> {
                $crate::kinds::mirror::Built::<$sdk>::built(<$sdk>::builder() $($( .$set($crate::dig!(self; $a $(. $b)* $([$($i)?] . $c)?)?) )*)? .build()).map(Some)
            }
        }
        $crate::input!(@table $name, $sdk, <$sdk>::builder(), [$($($set)*)?], [$($($l: $why)*)?]);
    };
    ( @table $name:ident, $sdk:ty, $probe:expr, [$($set:ident)*], [$($l:ident: $why:literal)*] ) => {
        impl $crate::kinds::mirror::Input<$sdk> for $name {
            const TABLE: $crate::kinds::mirror::Inputs = $crate::kinds::mirror::Inputs { sdk: stringify!($sdk), given: &[$(stringify!($set)),*], left: &[$((stringify!($l), $why)),*], #[cfg(test)] probe: || format!("{:?}", $probe) };
        }
    };
}

/// The value at a path of `input!`.
#[macro_export]
macro_rules! dig {
    ($s:expr; whole) => { $crate::kinds::mirror::Give::give($s) };
    ($s:expr; $a:ident) => { $crate::kinds::mirror::Give::give(&$s.$a) };
    ($s:expr; $a:ident [] . $c:ident) => { $crate::kinds::mirror::pluck(&$s.$a, |row| $crate::kinds::mirror::Give::give(&row.$c)) };
    ($s:expr; $a:ident [$i:literal] . $c:ident) => { match $s.$a.get($i) { Some(row) => $crate::kinds::mirror::Give::give(&row.$c), None => Ok(None) } };
    ($s:expr; $a:ident . $($rest:tt)+) => { match &$s.$a { Some(x) => $crate::dig!(x; $($rest)+), None => Ok(None) } };
}

/// Kind names as types, for `Ref<ec2::Vpc>`.
#[macro_export]
macro_rules! named { ($($name:ident = $text:literal),* $(,)?) => { $( pub struct $name; impl $crate::kinds::mirror::Named for $name { const NAME: &'static str = $text; } )* } }
