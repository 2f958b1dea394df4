//! `ec2:customer-gateway`: what AWS knows of the customer's end of a VPN. Nothing of it but its tags can be changed.
use super::{converge_tags, failed, filter, found, held, only, tag_calls, tags_on_create, unbuildable};
use crate::{
    aws::{Cx, Failure},
    input,
    kinds::{
        Kind, Seen, Settled, Step, Which,
        mirror::{Coverage, FromSdk, Input, Inputs, Ref, Tags},
        names::{acm_pca, ec2},
    },
    mirror,
    plan::{
        facts::Phase,
        preflight::{Per, Quota},
    },
};
use aws_sdk_ec2::{operation::create_customer_gateway::builders::CreateCustomerGatewayInputBuilder, types as sdk};

mirror! {
    Spec from sdk::CustomerGateway;
    keep {
        certificate_arn @ "certificateArn": Option<Ref<acm_pca::Certificate>>,
        device_name @ "deviceName": Option<String>,
        tags @ "tagSet": Tags,
        bgp_asn_extended @ "bgpAsnExtended": Option<String>,
        r#type @ "type": Option<String>,
        ip_address @ "ipAddress": Option<String>,
        bgp_asn @ "bgpAsn": Option<String>,
    }
    drop {
        customer_gateway_id @ "customerGatewayId": "the id itself; remapped",
        state @ "state": "runtime state; see settled()",
    }
}

input! {
    Spec => create_customer_gateway(CreateCustomerGatewayInputBuilder);
    set {
        set_certificate_arn: certificate_arn,
        set_type: r#type,
        set_device_name: device_name,
        set_ip_address: ip_address,
    }
    leave {
        bgp_asn: "a number here, and only up to 2^31-1: create()",
        bgp_asn_extended: "a number here, and only from 2^31 on: create()",
        public_ip: "ip_address says it",
        tag_specifications: "the spec's tags and the step's: tags_on_create",
        dry_run: "the engine's",
    }
}

/// The customer's end of a VPN.
pub struct CustomerGateway;

/// AWS's words for the state are text here.
fn is_alive(g: &sdk::CustomerGateway) -> bool {
    !matches!(g.state.as_deref(), Some("deleting" | "deleted"))
}
fn seen(g: &sdk::CustomerGateway) -> Option<Seen<Spec>> {
    let id = g.customer_gateway_id.clone().filter(|_| is_alive(g))?;
    let mut spec = Spec::from_sdk(g);
    spec.device_name = spec.device_name.filter(|d| !d.is_empty());
    Some(Seen { id, spec, aliases: vec![] })
}

async fn gateway(cx: &Cx, id: &str) -> Result<Option<sdk::CustomerGateway>, Failure> {
    let answer = cx.ec2.describe_customer_gateways().customer_gateway_ids(id).send().await;
    let here = found(answer.map_err(failed("ec2:DescribeCustomerGateways")))?.and_then(|a| a.customer_gateways);
    Ok(here.unwrap_or_default().pop())
}

impl Kind for CustomerGateway {
    type Name = ec2::CustomerGateway;
    type Spec = Spec;
    const TABLES: &'static [&'static Coverage] = &[&Spec::COVERAGE];
    const INPUTS: &'static [&'static Inputs] = &[&<Spec as Input<CreateCustomerGatewayInputBuilder>>::TABLE];
    const OBSERVE: &'static [&'static str] = &["ec2:DescribeCustomerGateways"];
    const RESTORE: &'static [&'static str] =
        &["ec2:DescribeTags", "ec2:CreateCustomerGateway", "ec2:CreateTags", "ec2:DeleteTags"];
    const NEVER_BACK: &'static [&'static str] = &["its id"];
    const PHASE: Phase = Phase::Network;
    const TERRAFORM: &'static str = "aws_customer_gateway";
    const QUOTAS: &'static [Quota] = &[Quota {
        service: "ec2",
        code: "L-4FB7FF5D",
        name: "Customer gateways per region",
        default: 50,
        per: Per::Region,
        uses: Quota::EACH,
    }];
    const IMMUTABLE: &'static [&'static str] =
        &["certificate_arn", "device_name", "bgp_asn_extended", "type", "ip_address", "bgp_asn"];

    async fn look(cx: &Cx, which: Which<'_>) -> Result<Vec<Seen<Spec>>, Failure> {
        // It has no pages; a filter keeps it in the larger bucket.
        let living = vec![filter("state", ["pending", "available"])];
        let filters = only("customer-gateway-id", which).unwrap_or(living);
        let answer = cx.ec2.describe_customer_gateways().set_filters(Some(filters)).send().await;
        let all = answer.map_err(failed("ec2:DescribeCustomerGateways"))?.customer_gateways.unwrap_or_default();
        Ok(all.iter().filter_map(seen).collect())
    }

    async fn read(cx: &Cx, id: &str) -> Result<Option<Seen<Spec>>, Failure> {
        Ok(gateway(cx, id).await?.as_ref().and_then(seen))
    }

    async fn made_by(cx: &Cx, step: &Step) -> Result<Option<String>, Failure> {
        super::made_by::<Self>(cx, "customer-gateway", step).await
    }

    async fn create(cx: &Cx, spec: &Spec, step: &Step) -> Result<String, Failure> {
        let action = "ec2:CreateCustomerGateway";
        let tags = tags_on_create(sdk::ResourceType::CustomerGateway, &spec.tags, step)?;
        let call = spec.create_customer_gateway().map_err(unbuildable(action))?.tag_specifications(tags);
        let number: Option<i64> = spec.bgp_asn_extended.as_ref().or(spec.bgp_asn.as_ref()).and_then(|n| n.parse().ok());
        let call = match number.map(i32::try_from) {
            Some(Ok(small)) => call.bgp_asn(small),
            Some(Err(_)) => call.set_bgp_asn_extended(number),
            None => call,
        };
        let made = call.send_with(&cx.ec2_once).await.map_err(failed(action))?;
        held(action, "customer gateway id", made.customer_gateway.and_then(|g| g.customer_gateway_id))
    }

    async fn converge(cx: &Cx, id: &str, now: &Spec, want: &Spec) -> Result<(), Failure> {
        converge_tags(cx, id, &now.tags, &want.tags).await
    }

    async fn settled(cx: &Cx, id: &str) -> Result<Settled, Failure> {
        let Some(g) = gateway(cx, id).await? else { return Ok(Settled::Waiting("not listed yet".into())) };
        let word = g.state.clone().unwrap_or_else(|| "unknown".into());
        Ok(match word.as_str() {
            "available" => Settled::Ready,
            "deleting" | "deleted" => Settled::Failed(word),
            _ => Settled::Waiting(word),
        })
    }

    /// AWS answers a request for the same type, address, number and device with the gateway that is there.
    fn natural_key(spec: &Spec) -> Option<String> {
        let number = spec.bgp_asn_extended.as_ref().or(spec.bgp_asn.as_ref());
        let parts = [spec.r#type.as_ref(), spec.ip_address.as_ref(), number, spec.device_name.as_ref()];
        Some(parts.map(|p| p.map_or("", String::as_str)).join(" "))
    }

    fn calls(now: Option<&Spec>, want: &Spec) -> Vec<&'static str> {
        let Some(now) = now else { return vec!["ec2:CreateCustomerGateway"] };
        tag_calls(&now.tags, &want.tags)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::shapes::{foretold, spec},
        *,
    };
    use crate::{
        aws::canned::{Answer, Canned},
        kinds::mirror::Plain,
    };
    use serde_json::{Value, json};

    fn of(asn: &str) -> Value {
        json!({"type": "ipsec.1", "ip_address": "203.0.113.7", "bgp_asn": asn, "device_name": "office"})
    }
    async fn created(asn: &str) -> String {
        let canned =
            Canned::new(|_| "<customerGateway><customerGatewayId>cgw-1</customerGatewayId></customerGateway>".into());
        let step = Step { restore: "r1".into(), number: 3 };
        assert_eq!(
            CustomerGateway::create(&canned.cx(), &spec::<CustomerGateway>(&of(asn)), &step).await.unwrap(),
            "cgw-1"
        );
        let text = canned.wrote().concat();
        text.split(' ').filter(|p| !p.starts_with("TagSpecification")).collect::<Vec<_>>().join(" ")
    }

    #[tokio::test]
    async fn h19_its_number_goes_by_the_member_that_takes_it() {
        assert_eq!(
            created("65010").await,
            "CreateCustomerGateway BgpAsn=65010 DeviceName=office IpAddress=203.0.113.7 Type=ipsec.1"
        );
        assert_eq!(
            created("4200000000").await,
            "CreateCustomerGateway BgpAsnExtended=4200000000 DeviceName=office IpAddress=203.0.113.7 Type=ipsec.1"
        );
    }

    #[tokio::test]
    async fn a_deleted_one_is_gone_and_only_tags_change() {
        let canned = Canned::new(|_| {
            let one = |id: &str, s: &str| {
                format!("<item><customerGatewayId>{id}</customerGatewayId><state>{s}</state></item>")
            };
            Answer::Ok(format!(
                "<customerGatewaySet>{}{}</customerGatewaySet>",
                one("cgw-1", "deleted"),
                one("cgw-2", "available")
            ))
        });
        let seen = CustomerGateway::look(&canned.cx(), Which::All).await.unwrap();
        assert_eq!(seen.iter().map(|s| (s.id.as_str(), s.spec.to_json())).collect::<Vec<_>>(), [("cgw-2", json!({}))]);
        let mut want = of("65010");
        want["tags"] = json!({"Name": "a"});
        let sent = foretold::<CustomerGateway>(&canned, "cgw-1", &of("65000"), &want).await;
        assert_eq!(sent, ["CreateTags ResourceId.1=cgw-1 Tag.1.Key=Name Tag.1.Value=a"]);
    }
}
