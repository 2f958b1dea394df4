//! Which calls destroy or add, and where their records name the target: `catalogue.tsv`, compiled in. Facts only; what a
//! single record means is `actions`' business. The table is written by `catalogue.py` and never edited by hand.
use crate::model::{KindName, incident::Class};
use std::{collections::HashMap, sync::LazyLock};

/// One call of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// `None`: a read, or a call without a lasting effect.
    pub class: Option<Class>,
    /// The kind of thing that the call is about.
    pub kind: Option<KindName>,
    /// Where `requestParameters` names it, main target first: members from the top, one or many at any of them.
    pub paths: Vec<Vec<&'static str>>,
}

type Table = HashMap<&'static str, HashMap<&'static str, Vec<Entry>>>;
static TABLE: LazyLock<Table> = LazyLock::new(|| parse(include_str!("catalogue.tsv")));

/// What is known of a call; more than one entry where services share source and name (both load balancers, both API
/// gateways) and differ in where they name the target. Empty for a call that the catalogue lacks.
pub fn lookup(source: &str, name: &str) -> &'static [Entry] {
    TABLE.get(source).and_then(|names| names.get(name)).map_or(&[], Vec::as_slice)
}

/// Every call that takes something away, for the configuration of trails and the coverage table.
pub fn destructive() -> impl Iterator<Item = (&'static str, &'static str, &'static Entry)> {
    let all = TABLE.iter().flat_map(|(source, names)| {
        names.iter().flat_map(move |(name, entries)| entries.iter().map(move |e| (*source, *name, e)))
    });
    all.filter(|(_, _, e)| e.class.is_some_and(|c| c != Class::Add))
}

/// A line that does not fit is left out here and fails the test below: the text is ours and never changes at run time.
fn parse(text: &'static str) -> Table {
    let mut table = Table::new();
    let mut source = "";
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('@') {
            source = name;
            continue;
        }
        let Some((names, entry)) = parse_line(line) else { continue };
        for name in names.split(',') {
            let known = table.entry(source).or_default().entry(name).or_default();
            if !known.contains(&entry) {
                known.push(entry.clone());
            }
        }
    }
    table
}

fn parse_line(line: &'static str) -> Option<(&'static str, Entry)> {
    let mut fields = line.split('\t');
    let (names, class, kind, paths) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let class = match class {
        "delete" => Some(Class::Delete),
        "detach" => Some(Class::Detach),
        "modify" => Some(Class::Modify),
        "stop" => Some(Class::Stop),
        "data" => Some(Class::Data),
        "add" => Some(Class::Add),
        "none" => None,
        _ => return None,
    };
    let kind = match kind {
        "-" => None,
        kind => Some(kind.parse().ok()?),
    };
    let paths = paths.split(',').filter(|p| *p != "-").map(|p| p.split('.').collect()).collect();
    fields.next().is_none().then_some((names, Entry { class, kind, paths }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_read() {
        for line in include_str!("catalogue.tsv").lines().filter(|l| !l.starts_with('@')) {
            assert!(parse_line(line).is_some(), "{line}");
        }
        assert!(destructive().count() >= 1100, "{}", destructive().count());
    }

    #[test]
    fn calls_are_found_by_source_and_name() {
        let [entry] = lookup("ec2.amazonaws.com", "DeleteNatGateway") else { panic!() };
        assert_eq!(entry.class, Some(Class::Delete));
        assert_eq!(entry.kind.as_ref().map(KindName::as_str), Some("ec2:nat-gateway"));
        assert_eq!(entry.paths, [["DeleteNatGatewayRequest", "NatGatewayId"]]);
        assert_eq!(lookup("elasticloadbalancing.amazonaws.com", "DeleteLoadBalancer").len(), 2);
        assert!(lookup("ec2.amazonaws.com", "DeleteStack").is_empty());
        let [tags] = lookup("ec2.amazonaws.com", "CreateTags") else { panic!() };
        assert_eq!(tags.class, Some(Class::Add));
    }
}
