//! `ec2:dhcp-options`: immutable but for its tags. Another set of options is another resource, which a VPC is then
//! associated with (H11).
use super::{failed, found, held, only, tags_on_create, unbuildable};
use crate::{
    aws::{Cx, Failure},
    input,
    kinds::{
        Kind, Seen, Step, Which,
        mirror::{Coverage, FromSdk, Input, Inputs, Set, Tags},
        names::ec2,
    },
    mirror,
    plan::facts::Phase,
};
use aws_sdk_ec2::operation::create_dhcp_options::builders::CreateDhcpOptionsInputBuilder;
use aws_sdk_ec2::types as sdk;

mirror! {
    Spec from sdk::DhcpOptions;
    keep {
        tags @ "tagSet": Tags,
        dhcp_configurations @ "dhcpConfigurationSet": Set<DhcpConfiguration>,
    }
    drop {
        owner_id @ "ownerId": "the account; part of the key",
        dhcp_options_id @ "dhcpOptionsId": "the id itself; remapped",
    }
}

mirror! {
    /// The values keep their order: the first name server is asked first.
    DhcpConfiguration from sdk::DhcpConfiguration, key [key];
    keep {
        key @ "key": Option<String>,
        values @ "valueSet": Vec<AttributeValue>,
    }
}

mirror! {
    AttributeValue from sdk::AttributeValue;
    keep {
        value @ "value": Option<String>,
    }
}

input! {
    Spec => create_dhcp_options(CreateDhcpOptionsInputBuilder);
    set {
        set_dhcp_configurations: dhcp_configurations,
    }
    leave {
        tag_specifications: "the engine's: the spec's tags and the step's",
        dry_run: "the engine's",
    }
}

input! {
    DhcpConfiguration => sdk::NewDhcpConfiguration;
    set {
        set_key: key,
        set_values: values[].value,
    }
}

/// A set of DHCP options.
pub struct DhcpOptions;

fn seen(options: sdk::DhcpOptions) -> Option<Seen<Spec>> {
    let spec = Spec::from_sdk(&options);
    Some(Seen { id: options.dhcp_options_id?, spec, aliases: vec![] })
}

impl Kind for DhcpOptions {
    type Name = ec2::DhcpOptions;
    type Spec = Spec;
    const TABLES: &'static [&'static Coverage] =
        &[&Spec::COVERAGE, &DhcpConfiguration::COVERAGE, &AttributeValue::COVERAGE];
    const INPUTS: &'static [&'static Inputs] = &[
        &<Spec as Input<CreateDhcpOptionsInputBuilder>>::TABLE,
        &<DhcpConfiguration as Input<sdk::NewDhcpConfiguration>>::TABLE,
    ];
    const OBSERVE: &'static [&'static str] = &["ec2:DescribeDhcpOptions"];
    const RESTORE: &'static [&'static str] =
        &["ec2:DescribeTags", "ec2:CreateDhcpOptions", "ec2:CreateTags", "ec2:DeleteTags"];
    const NEVER_BACK: &'static [&'static str] = &["the id of the DHCP options"];
    const PHASE: Phase = Phase::Network;
    const TERRAFORM: &'static str = "aws_vpc_dhcp_options";
    const IMMUTABLE: &'static [&'static str] = &["dhcp_configurations"];

    async fn look(cx: &Cx, which: Which<'_>) -> Result<Vec<Seen<Spec>>, Failure> {
        let call = cx.ec2.describe_dhcp_options().set_filters(only("dhcp-options-id", which));
        let all = call.into_paginator().page_size(super::PAGE_ROWS).items().send().try_collect().await;
        Ok(all.map_err(failed("ec2:DescribeDhcpOptions"))?.into_iter().filter_map(seen).collect())
    }
    async fn read(cx: &Cx, id: &str) -> Result<Option<Seen<Spec>>, Failure> {
        let call = cx.ec2.describe_dhcp_options().dhcp_options_ids(id).send().await;
        let answer = found(call.map_err(failed("ec2:DescribeDhcpOptions")))?;
        Ok(answer.and_then(|a| a.dhcp_options?.into_iter().next()).and_then(seen))
    }
    async fn made_by(cx: &Cx, step: &Step) -> Result<Option<String>, Failure> {
        super::made_by::<Self>(cx, "dhcp-options", step).await
    }
    async fn create(cx: &Cx, spec: &Spec, step: &Step) -> Result<String, Failure> {
        let action = "ec2:CreateDhcpOptions";
        let tags = tags_on_create(sdk::ResourceType::DhcpOptions, &spec.tags, step)?; // H64: no client token
        let input = spec.create_dhcp_options().map_err(unbuildable(action))?.tag_specifications(tags);
        let made = input.send_with(&cx.ec2_once).await.map_err(failed(action))?;
        held(action, "dhcpOptionsId", made.dhcp_options.and_then(|o| o.dhcp_options_id))
    }
    async fn converge(cx: &Cx, id: &str, now: &Spec, want: &Spec) -> Result<(), Failure> {
        super::converge_tags(cx, id, &now.tags, &want.tags).await
    }
    fn calls(now: Option<&Spec>, want: &Spec) -> Vec<&'static str> {
        now.map_or(vec!["ec2:CreateDhcpOptions"], |now| super::tag_calls(&now.tags, &want.tags))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        aws::canned::{Answer, Canned},
        kinds::mirror::Plain,
    };
    use serde_json::json;

    const ROW: &str = "<dhcpOptionsSet><item><dhcpOptionsId>dopt-1</dhcpOptionsId><dhcpConfigurationSet><item><key>domain-name-servers</key><valueSet><item><value>10.0.0.2</value></item><item><value>10.0.0.1</value></item></valueSet></item><item><key>domain-name</key><valueSet><item><value>corp.example</value></item></valueSet></item></dhcpConfigurationSet></item></dhcpOptionsSet>";

    #[tokio::test]
    async fn h11_a_set_is_made_as_it_was_with_its_servers_in_their_order() {
        let aws = Canned::new(|call| match call.action.as_str() {
            "DescribeDhcpOptions" => ROW.into(),
            _ => "<dhcpOptions><dhcpOptionsId>dopt-9</dhcpOptionsId></dhcpOptions>".into(),
        });
        let spec = DhcpOptions::read(&aws.cx(), "dopt-1").await.unwrap().unwrap().spec;
        assert_eq!(
            spec.to_json(),
            json!({"dhcp_configurations": [{"key": "domain-name", "values": [{"value": "corp.example"}]}, {"key": "domain-name-servers", "values": [{"value": "10.0.0.2"}, {"value": "10.0.0.1"}]}]})
        );
        let step = Step { restore: "r-1".into(), number: 7 };
        assert_eq!(DhcpOptions::create(&aws.cx(), &spec, &step).await.unwrap(), "dopt-9");
        assert_eq!(
            aws.wrote(),
            [
                "CreateDhcpOptions DhcpConfiguration.1.Key=domain-name DhcpConfiguration.1.Value.1=corp.example DhcpConfiguration.2.Key=domain-name-servers DhcpConfiguration.2.Value.1=10.0.0.2 DhcpConfiguration.2.Value.2=10.0.0.1 TagSpecification.1.ResourceType=dhcp-options TagSpecification.1.Tag.1.Key=rollbackd:step TagSpecification.1.Tag.1.Value=r-1/7"
            ]
        );
        let gone = Canned::new(|_| Answer::Error(400, "InvalidDhcpOptionID.NotFound", "no"));
        assert!(DhcpOptions::read(&gone.cx(), "dopt-1").await.unwrap().is_none());
    }
}
