//! What Terraform must be told after a restore (H60): its state names ids that are gone.
//!
//! The address of a resource in somebody's configuration is not known here, so each is made from its type and name.
use super::receipt::{Item, Outcome};
use crate::{
    kinds::registry,
    model::{ResourceKey, Scope, reference::Remap},
    plan::Plan,
};
use std::collections::{BTreeMap, BTreeSet};

const HEAD: &str = "\
# Terraform's state names ids that are gone. In this order:
# 1. Put the addresses of your configuration in place of those below: they are made from types and names.
# 2. Forget the old ids with the commands in the comments, since an address that the state holds is not imported.
#    (Or in an apply of its own: `removed { from = ADDRESS }` with `lifecycle { destroy = false }`.)
# 3. Apply with these blocks.
";

/// `import` blocks for what has another import id than at the restore point, its associations included. Nothing where no
/// id changed.
pub(super) fn blocks(plan: &Plan, items: &[Item], remap: &BTreeMap<Scope, Remap>) -> Option<String> {
    let wants: BTreeMap<&ResourceKey, _> = plan.steps.iter().map(|s| (&s.resource, &s.want)).collect();
    let mut taken: BTreeSet<String> = BTreeSet::new();
    let mut by_scope: BTreeMap<&Scope, String> = BTreeMap::new();
    let back = items.iter().filter(|i| matches!(i.outcome, Outcome::Restored | Outcome::Differs));
    for item in back {
        let key = &item.resource;
        let (Some(kind), Some(new), Some(want)) = (registry::kind(&key.kind), &item.new_id, wants.get(key)) else {
            continue;
        };
        let of = kind.facts().terraform;
        let mapped = remap.get(&key.scope).map_or_else(|| (*want).clone(), |m| m.apply(want));
        let was = of(&key.id, want);
        for (kind, id) in of(new, &mapped).iter().filter(|row| !was.contains(row)) {
            let address = free(&mut taken, kind, item.name.as_deref().unwrap_or(&key.id));
            let block = format!(
                "\n# terraform state rm '{address}'   # of {}\nimport {{\n  to = {address}\n  id = \"{}\"\n}}\n",
                key.id,
                quoted(id)
            );
            by_scope.entry(&key.scope).or_default().push_str(&block);
        }
    }
    let sections: String = by_scope.into_iter().map(|(scope, text)| format!("\n# {scope}\n{text}")).collect();
    (!sections.is_empty()).then(|| format!("{HEAD}{sections}"))
}

/// An address that no block has yet.
fn free(taken: &mut BTreeSet<String>, kind: &str, name: &str) -> String {
    let mut word: String =
        name.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if !word.starts_with(|c: char| c.is_ascii_alphabetic()) {
        word.insert(0, '_');
    }
    let first = format!("{kind}.{word}");
    let numbered = (2..).map(|n| format!("{first}_{n}"));
    let address = std::iter::once(first.clone()).chain(numbered).find(|a| !taken.contains(a)).unwrap_or(first);
    taken.insert(address.clone());
    address
}

/// As within quotes of HCL.
fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace("${", "$${").replace("%{", "%%{")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::registry::KINDS;
    use serde_json::{Value, json};

    fn of(kind: &str, id: &str, spec: Value) -> Vec<(&'static str, String)> {
        let kind = KINDS.iter().find(|k| k.name() == kind).unwrap();
        (kind.facts().terraform)(id, &spec)
    }
    fn one(kind: &'static str, id: &str) -> Vec<(&'static str, String)> {
        vec![(kind, id.into())]
    }

    #[test]
    fn h60_every_kind_has_a_type_and_most_are_imported_by_their_id() {
        let mut types = BTreeSet::new();
        for kind in KINDS {
            let (name, spec) = (kind.name(), json!({}));
            let rows = (kind.facts().terraform)("id-1", &spec);
            // A key pair and a placement group are known by their names.
            let by_name = ["ec2:key-pair", "ec2:placement-group"].contains(&name);
            assert_eq!(rows.len(), usize::from(!by_name), "{name}: {rows:?}");
            for (kind, id) in rows {
                assert!(kind.starts_with("aws_") && types.insert(kind), "{name}: {kind}");
                assert_eq!(id, "id-1", "{name}");
            }
        }
    }

    #[test]
    fn h60_what_is_not_imported_by_its_own_id() {
        let (vpc, subnet) =
            (json!({"$ref": "ec2:vpc", "id": "vpc-1"}), json!({"$late": "ec2:subnet", "id": "subnet-1"}));
        assert_eq!(of("ec2:key-pair", "key-1", json!({"key_name": "ops"})), one("aws_key_pair", "ops"));
        assert_eq!(
            of("ec2:placement-group", "pg-1", json!({"group_name": "near"})),
            one("aws_placement_group", "near")
        );
        let main = json!({"vpc_id": vpc, "associations": [{"main": true}]});
        assert_eq!(of("ec2:route-table", "rtb-1", main), one("aws_default_route_table", "vpc-1"));
        let custom = json!({"vpc_id": vpc, "associations": [{"subnet_id": subnet}]});
        let both = [one("aws_route_table", "rtb-1"), one("aws_route_table_association", "subnet-1/rtb-1")].concat();
        assert_eq!(of("ec2:route-table", "rtb-1", custom), both);
        assert_eq!(
            of("ec2:network-acl", "acl-1", json!({"is_default": true})),
            one("aws_default_network_acl", "acl-1")
        );
        assert_eq!(
            of("ec2:security-group", "sg-1", json!({"group_name": "default"})),
            one("aws_default_security_group", "sg-1")
        );
        assert_eq!(
            of("ec2:subnet", "subnet-1", json!({"default_for_az": true})),
            one("aws_default_subnet", "subnet-1")
        );
        let dhcp = json!({"is_default": true, "dhcp_options_id": {"$late": "ec2:dhcp-options", "id": "dopt-1"}});
        let both = [one("aws_default_vpc", "vpc-1"), one("aws_vpc_dhcp_options_association", "vpc-1")].concat();
        assert_eq!(of("ec2:vpc", "vpc-1", dhcp), both);
        let instance = json!({"$late": "ec2:instance", "id": "i-1"});
        let attached = json!({"attachments": [{"device": "/dev/sdf", "instance_id": instance}]});
        let both = [one("aws_ebs_volume", "vol-1"), one("aws_volume_attachment", "/dev/sdf:vol-1:i-1")].concat();
        assert_eq!(of("ec2:volume", "vol-1", attached), both);
        let host = json!({"$ref": "ec2:instance", "id": "i-1"});
        assert_eq!(of("ec2:volume", "vol-1", json!({"made_with": host})), []);
        assert_eq!(of("ec2:network-interface", "eni-1", json!({"primary_of": host})), []);
        let vpn = json!({"vpn_connection_id": {"$ref": "ec2:vpn-connection", "id": "vpn-1"}});
        assert_eq!(of("ec2:transit-gateway-attachment", "tgw-attach-1", vpn), []);
        let attachment = json!({"$late": "ec2:transit-gateway-attachment", "id": "tgw-attach-1"});
        let row = json!([{"transit_gateway_attachment_id": attachment}]);
        let table =
            of("ec2:transit-gateway-route-table", "tgw-rtb-1", json!({"associations": row, "propagations": row}));
        let ids: Vec<_> = table.iter().map(|(_, id)| id.as_str()).collect();
        assert_eq!(ids, ["tgw-rtb-1", "tgw-rtb-1_tgw-attach-1", "tgw-rtb-1_tgw-attach-1"]);
    }

    #[test]
    fn h60_addresses_are_words_and_each_stands_once() {
        let mut taken = BTreeSet::new();
        let mut free = |name: &str| super::free(&mut taken, "aws_vpc", name);
        assert_eq!(free("Prod VPC"), "aws_vpc.prod_vpc");
        assert_eq!((free("prod-vpc"), free("prod.vpc")), ("aws_vpc.prod_vpc_2".into(), "aws_vpc.prod_vpc_3".into()));
        assert_eq!((free("7"), free("${x}\n")), ("aws_vpc._7".into(), "aws_vpc.___x__".into()));
        assert_eq!(quoted(r#"a"b\${c}%{d}"#), r#"a\"b\\$${c}%%{d}"#);
    }
}
