//! `ec2:key-pair`: a public key under a name. AWS never had the private key of an imported one, and gave that of a created
//! one away once; whoever holds it goes on using it, since the public key comes back under the same name (H25).
use super::{converge_tags, failed, filter, found, held, tag_calls, tags_on_create, unbuildable};
use crate::{
    aws::{Cx, Failure},
    input,
    kinds::{
        Kind, Seen, Step, Which,
        mirror::{Coverage, FromSdk, Input, Inputs, Ref, Tags},
        names::ec2,
    },
    mirror,
    model::Alias,
    plan::facts::Phase,
};
use aws_sdk_ec2::{operation::import_key_pair::builders::ImportKeyPairInputBuilder, primitives::Blob, types as sdk};
use std::collections::BTreeMap;

mirror! {
    Spec from sdk::KeyPairInfo;
    keep {
        key_name @ "keyName": Option<String>,
        public_key @ "publicKey": Option<String>,
        tags @ "tagSet": Tags,
    }
    drop {
        key_pair_id @ "keyPairId": "the id itself; remapped",
        key_type @ "keyType": "follows from the key",
        create_time @ "createTime": "runtime: a time",
        key_fingerprint @ "keyFingerprint": "derived; differs in form between created and imported keys",
    }
}

input! {
    Spec => import_key_pair(ImportKeyPairInputBuilder);
    set {
        set_key_name: key_name,
    }
    leave {
        public_key_material: "public_key, as bytes: create()",
        tag_specifications: "the spec's tags and the step's: tags_on_create",
        dry_run: "the engine's",
    }
}

pub struct KeyPair;

/// The key without its comment: AWS writes the pair's name there when it made the key, and whatever was imported else.
fn without_comment(key: &str) -> String {
    key.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

fn seen(pair: sdk::KeyPairInfo) -> Option<Seen<Spec>> {
    let mut spec = Spec::from_sdk(&pair);
    spec.public_key = spec.public_key.map(|k| without_comment(&k)).filter(|k| !k.is_empty());
    // Records and instances name a pair by its name.
    Some(Seen { id: pair.key_pair_id?, aliases: spec.key_name.clone().map(Alias).into_iter().collect(), spec })
}

async fn pairs(cx: &Cx, filters: Option<Vec<sdk::Filter>>) -> Result<Vec<sdk::KeyPairInfo>, Failure> {
    // H25: without asking for it the public key is not told, and a pair without one cannot be made again.
    let call = cx.ec2.describe_key_pairs().include_public_key(true).set_filters(filters);
    Ok(call.send().await.map_err(failed("ec2:DescribeKeyPairs"))?.key_pairs.unwrap_or_default())
}

/// The pairs that are there by their names: instances and launch templates say no id. No call for no names.
pub async fn by_name(cx: &Cx, names: &[String]) -> Result<BTreeMap<String, Ref<ec2::KeyPair>>, Failure> {
    if names.is_empty() {
        return Ok(BTreeMap::new());
    }
    let answer = cx.ec2.describe_key_pairs().send().await.map_err(failed("ec2:DescribeKeyPairs"))?;
    let all = answer.key_pairs.unwrap_or_default().into_iter();
    Ok(all
        .filter_map(|p| Some((p.key_name?, Ref::new(p.key_pair_id?))))
        .filter(|(name, _)| names.contains(name))
        .collect())
}

impl Kind for KeyPair {
    type Name = ec2::KeyPair;
    type Spec = Spec;
    const TABLES: &'static [&'static Coverage] = &[&Spec::COVERAGE];
    const INPUTS: &'static [&'static Inputs] = &[&<Spec as Input<ImportKeyPairInputBuilder>>::TABLE];
    const OBSERVE: &'static [&'static str] = &["ec2:DescribeKeyPairs"];
    const RESTORE: &'static [&'static str] =
        &["ec2:DescribeTags", "ec2:ImportKeyPair", "ec2:CreateTags", "ec2:DeleteTags"];
    const NEVER_BACK: &'static [&'static str] =
        &["the id of the key pair", "the private key, where nobody kept it", "the comment within the public key"];
    const PHASE: Phase = Phase::Identity;
    const TERRAFORM: &'static str = "aws_key_pair";
    const IMMUTABLE: &'static [&'static str] = &["key_name", "public_key"];

    async fn look(cx: &Cx, which: Which<'_>) -> Result<Vec<Seen<Spec>>, Failure> {
        Ok(pairs(cx, super::only("key-pair-id", which)).await?.into_iter().filter_map(seen).collect())
    }
    async fn read(cx: &Cx, id: &str) -> Result<Option<Seen<Spec>>, Failure> {
        let here = found(pairs(cx, Some(vec![filter("key-pair-id", [id])])).await)?;
        Ok(here.unwrap_or_default().into_iter().find(|p| p.key_pair_id() == Some(id)).and_then(seen))
    }
    async fn made_by(cx: &Cx, step: &Step) -> Result<Option<String>, Failure> {
        super::made_by::<Self>(cx, "key-pair", step).await
    }
    async fn create(cx: &Cx, spec: &Spec, step: &Step) -> Result<String, Failure> {
        // H25: imported, not created: a created pair would be another key, and nobody could log in with the old one.
        let action = "ec2:ImportKeyPair";
        let Some(key) = &spec.public_key else {
            let name = spec.key_name.as_deref().unwrap_or_default();
            let why =
                format!("AWS did not tell the public key of `{name}`, and no call makes the same pair without it");
            return Err(Failure::unbuildable(action, why));
        };
        let tags = tags_on_create(sdk::ResourceType::KeyPair, &spec.tags, step)?;
        let call = spec.import_key_pair().map_err(unbuildable(action))?.tag_specifications(tags);
        let call = call.public_key_material(Blob::new(key.as_bytes()));
        let made = call.send_with(&cx.ec2_once).await.map_err(failed(action))?;
        held(action, "keyPairId", made.key_pair_id)
    }
    async fn converge(cx: &Cx, id: &str, now: &Spec, want: &Spec) -> Result<(), Failure> {
        converge_tags(cx, id, &now.tags, &want.tags).await
    }
    fn natural_key(spec: &Spec) -> Option<String> {
        spec.key_name.clone()
    }
    fn terraform(_id: &str, spec: &Spec) -> Vec<(&'static str, String)> {
        spec.key_name.iter().map(|name| (Self::TERRAFORM, name.clone())).collect()
    }
    fn calls(now: Option<&Spec>, want: &Spec) -> Vec<&'static str> {
        now.map_or_else(|| vec!["ec2:ImportKeyPair"], |now| tag_calls(&now.tags, &want.tags))
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::shapes::{foretold, spec},
        *,
    };
    use crate::aws::canned::{Answer, Canned};
    use serde_json::json;

    const PAIR: &str = "<keySet><item><keyPairId>key-1</keyPairId><keyName>ops</keyName><publicKey>ssh-ed25519 AAAAC3 ops&#xa;</publicKey></item></keySet>";

    #[tokio::test]
    async fn h25_the_public_key_is_asked_for_and_imported_under_the_same_name() {
        let canned = Canned::new(|call| match call.action.as_str() {
            "DescribeKeyPairs" => PAIR.into(),
            _ => "<keyPairId>key-2</keyPairId>".into(),
        });
        let seen = KeyPair::read(&canned.cx(), "key-1").await.unwrap().unwrap();
        assert_eq!(canned.asked()[0].get("IncludePublicKey"), "true");
        assert_eq!(seen.spec.public_key.as_deref(), Some("ssh-ed25519 AAAAC3"));
        assert_eq!(KeyPair::natural_key(&seen.spec).as_deref(), Some("ops"));
        let step = Step { restore: "r1".into(), number: 3 };
        assert_eq!(KeyPair::create(&canned.cx(), &seen.spec, &step).await.unwrap(), "key-2");
        assert_eq!(
            canned.wrote(),
            [
                "ImportKeyPair KeyName=ops PublicKeyMaterial=c3NoLWVkMjU1MTkgQUFBQUMz TagSpecification.1.ResourceType=key-pair TagSpecification.1.Tag.1.Key=rollbackd:step TagSpecification.1.Tag.1.Value=r1/3"
            ]
        );
    }

    #[tokio::test]
    async fn h25_a_pair_whose_key_was_never_told_is_refused_before_any_call() {
        let canned = Canned::new(|_| "".into());
        let step = Step { restore: "r1".into(), number: 3 };
        let f = KeyPair::create(&canned.cx(), &spec::<KeyPair>(&json!({"key_name": "ops"})), &step).await.unwrap_err();
        assert!(f.message.contains("public key of `ops`"), "{f}");
        assert_eq!(canned.asked(), []);
    }

    #[tokio::test]
    async fn tags_are_all_that_changes_in_place() {
        let canned = Canned::new(|_| "<return>true</return>".into());
        let pair = |tags| json!({"key_name": "ops", "public_key": "ssh-rsa A", "tags": tags});
        assert_eq!(
            foretold::<KeyPair>(&canned, "key-1", &pair(json!({"a": "1"})), &pair(json!({"b": "2"}))).await,
            ["DeleteTags ResourceId.1=key-1 Tag.1.Key=a", "CreateTags ResourceId.1=key-1 Tag.1.Key=b Tag.1.Value=2"]
        );
    }

    #[tokio::test]
    async fn one_that_is_gone_is_none() {
        let canned = Canned::new(|_| Answer::Ok("<keySet/>".into()));
        assert!(KeyPair::read(&canned.cx(), "key-1").await.unwrap().is_none());
    }
}
