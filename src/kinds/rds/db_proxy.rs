//! `rds:db-proxy`: a proxy in front of databases, with its one target group, which RDS always calls `default`, and what is
//! registered there. The address of a proxy is drawn anew each time one is made.
use super::{PAGE_ROWS, failed, found, is_asked, one, tag_calls, tags_on_create, unbuildable};
use crate::{
    aws::{Cx, Failure},
    input,
    kinds::{
        Kind, Seen, Settled, Step, Which,
        mirror::{Change, Coverage, FromSdk, Give, Input, Inputs, LateRef, Plain, Ref, Set, Tags, change},
        names::{ec2, iam, rds, secretsmanager},
    },
    mirror,
    plan::{
        facts::Phase,
        readiness::{Copies, Cost, Ready},
    },
};
use aws_sdk_rds::{
    operation::{
        create_db_proxy::builders::CreateDbProxyInputBuilder, modify_db_proxy::builders::ModifyDbProxyInputBuilder,
    },
    types as sdk,
};

mirror! {
    Spec from sdk::DbProxy;
    keep {
        db_proxy_name @ "DBProxyName": Option<String>,
        engine_family @ "EngineFamily": Option<String>,
        vpc_security_group_ids @ "VpcSecurityGroupIds": Set<Ref<ec2::SecurityGroup>>,
        vpc_subnet_ids @ "VpcSubnetIds": Set<Ref<ec2::Subnet>>,
        default_auth_scheme @ "DefaultAuthScheme": Option<String>,
        auth @ "Auth": Set<UserAuthConfigInfo>,
        role_arn @ "RoleArn": Option<LateRef<iam::Role>>,
        require_tls @ "RequireTLS": Option<bool>,
        idle_client_timeout @ "IdleClientTimeout": Option<i32>,
        debug_logging @ "DebugLogging": Option<bool>,
        endpoint_network_type @ "EndpointNetworkType": Option<String>,
        target_connection_network_type @ "TargetConnectionNetworkType": Option<String>,
    }
    drop {
        db_proxy_arn @ "DBProxyArn": "drawn by AWS at each create",
        status @ "Status": "runtime state; see settled()",
        vpc_id @ "VpcId": "follows from the subnets",
        endpoint @ "Endpoint": "drawn by AWS at each create",
        created_date @ "CreatedDate": "runtime: a time",
        updated_date @ "UpdatedDate": "runtime: a time",
    }
    also {
        target_group: Option<TargetGroup>, // DescribeDBProxyTargetGroups
        instances: Set<LateRef<rds::DbInstance>>, // DescribeDBProxyTargets
        clusters: Set<LateRef<rds::DbCluster>>, // DescribeDBProxyTargets
        tags: Tags // ListTagsForResource
    }
}

mirror! {
    UserAuthConfigInfo from sdk::UserAuthConfigInfo;
    keep {
        description @ "Description": Option<String>,
        user_name @ "UserName": Option<String>,
        auth_scheme @ "AuthScheme": Option<String>,
        secret_arn @ "SecretArn": Option<LateRef<secretsmanager::Secret>>,
        iam_auth @ "IAMAuth": Option<String>,
        client_password_auth_type @ "ClientPasswordAuthType": Option<String>,
    }
}

mirror! {
    TargetGroup from sdk::DbProxyTargetGroup;
    keep {
        connection_pool_config @ "ConnectionPoolConfig": Option<ConnectionPoolConfigurationInfo>,
    }
    drop {
        db_proxy_name @ "DBProxyName": "the resource itself",
        target_group_name @ "TargetGroupName": "always `default`",
        target_group_arn @ "TargetGroupArn": "drawn by AWS at each create",
        is_default @ "IsDefault": "always so",
        status @ "Status": "runtime state",
        created_date @ "CreatedDate": "runtime: a time",
        updated_date @ "UpdatedDate": "runtime: a time",
    }
}

mirror! {
    ConnectionPoolConfigurationInfo from sdk::ConnectionPoolConfigurationInfo;
    keep {
        max_connections_percent @ "MaxConnectionsPercent": Option<i32>,
        max_idle_connections_percent @ "MaxIdleConnectionsPercent": Option<i32>,
        connection_borrow_timeout @ "ConnectionBorrowTimeout": Option<i32>,
        session_pinning_filters @ "SessionPinningFilters": Set<String>,
        init_query @ "InitQuery": Option<String>,
    }
}

input! {
    Spec => create_db_proxy(CreateDbProxyInputBuilder);
    set {
        set_db_proxy_name: db_proxy_name,
        set_engine_family: engine_family,
        set_default_auth_scheme: default_auth_scheme,
        set_auth: auth,
        set_role_arn: role_arn,
        set_vpc_subnet_ids: vpc_subnet_ids,
        set_vpc_security_group_ids: vpc_security_group_ids,
        set_require_tls: require_tls,
        set_idle_client_timeout: idle_client_timeout,
        set_debug_logging: debug_logging,
        set_endpoint_network_type: endpoint_network_type,
        set_target_connection_network_type: target_connection_network_type,
    }
    leave {
        tags: "the spec's tags and the step's: tags_on_create",
    }
}

input! {
    Spec => modify_db_proxy(ModifyDbProxyInputBuilder);
    set {
        set_default_auth_scheme: default_auth_scheme,
        set_auth: auth,
        set_require_tls: require_tls,
        set_idle_client_timeout: idle_client_timeout,
        set_debug_logging: debug_logging,
        set_role_arn: role_arn,
        set_security_groups: vpc_security_group_ids,
    }
    leave {
        db_proxy_name: "the resource at hand",
        new_db_proxy_name: "a name is never changed",
    }
}

input! {
    UserAuthConfigInfo => sdk::UserAuthConfig;
    set {
        set_description: description,
        set_user_name: user_name,
        set_auth_scheme: auth_scheme,
        set_secret_arn: secret_arn,
        set_iam_auth: iam_auth,
        set_client_password_auth_type: client_password_auth_type,
    }
}

input! {
    ConnectionPoolConfigurationInfo => sdk::ConnectionPoolConfiguration;
    set {
        set_max_connections_percent: max_connections_percent,
        set_max_idle_connections_percent: max_idle_connections_percent,
        set_connection_borrow_timeout: connection_borrow_timeout,
        set_session_pinning_filters: session_pinning_filters,
        set_init_query: init_query,
    }
}

pub struct DbProxy;

const CREATE: &str = "rds:CreateDBProxy";
const MODIFY: &str = "rds:ModifyDBProxy";
const MODIFY_TARGETS: &str = "rds:ModifyDBProxyTargetGroup";
const REGISTER: &str = "rds:RegisterDBProxyTargets";
const DEREGISTER: &str = "rds:DeregisterDBProxyTargets";
/// The members that ModifyDBProxy can say.
const MODIFIED: &[&str] = &[
    "default_auth_scheme",
    "auth",
    "require_tls",
    "idle_client_timeout",
    "debug_logging",
    "role_arn",
    "vpc_security_group_ids",
];

async fn proxies(cx: &Cx, name: Option<String>) -> Result<Vec<sdk::DbProxy>, Failure> {
    let call = cx.rds.describe_db_proxies().set_db_proxy_name(name).into_paginator();
    let rows = call.page_size(PAGE_ROWS).items().send().try_collect().await;
    Ok(found(rows.map_err(failed("rds:DescribeDBProxies")))?.unwrap_or_default())
}
/// The ARN of a proxy, which does not hold its name.
pub(super) async fn arn(cx: &Cx, id: &str) -> Result<Option<String>, Failure> {
    Ok(proxies(cx, Some(id.to_owned())).await?.pop().and_then(|p| p.db_proxy_arn))
}

async fn complete(cx: &Cx, proxy: sdk::DbProxy) -> Result<Seen<Spec>, Failure> {
    let id = proxy.db_proxy_name.clone().unwrap_or_default();
    let mut spec = Spec::from_sdk(&proxy);
    let groups = async {
        let answer = cx.rds.describe_db_proxy_target_groups().db_proxy_name(&id).send().await;
        Ok(answer.map_err(failed("rds:DescribeDBProxyTargetGroups"))?.target_groups.unwrap_or_default())
    };
    let targets = async {
        let call = cx.rds.describe_db_proxy_targets().db_proxy_name(&id).into_paginator().page_size(PAGE_ROWS);
        let rows: Result<Vec<sdk::DbProxyTarget>, _> = call.items().send().try_collect().await;
        rows.map_err(failed("rds:DescribeDBProxyTargets"))
    };
    let tags = async {
        match &proxy.db_proxy_arn {
            Some(arn) => Ok(Tags::from_sdk(&super::all_tags(cx, arn).await?)),
            None => Ok(Tags::default()),
        }
    };
    let (groups, targets, tags) = futures_util::future::try_join3(groups, targets, tags).await?;
    spec.tags = tags;
    spec.target_group = groups.first().map(TargetGroup::from_sdk);
    let of = |is: sdk::TargetType| {
        let own = targets.iter().filter(move |t| t.r#type() == Some(&is));
        // The members of a registered cluster are listed too, and come and go with it.
        own.filter(|t| t.tracked_cluster_id().is_none_or(|c| c == t.rds_resource_id().unwrap_or_default()))
            .filter_map(|t| t.rds_resource_id.clone())
    };
    spec.instances = of(sdk::TargetType::RdsInstance).map(LateRef::new).collect::<Vec<_>>().into();
    spec.clusters = of(sdk::TargetType::TrackedCluster).map(LateRef::new).collect::<Vec<_>>().into();
    Ok(Seen { id, spec, aliases: vec![] })
}

/// What ModifyDBProxy has to say, if anything.
fn modification(now: &Spec, want: &Spec) -> Result<Option<ModifyDbProxyInputBuilder>, Failure> {
    let Change { set, .. } = change(now, want).map_err(|e| Failure::unbuildable(MODIFY, e))?;
    let changed = set.to_json();
    if !MODIFIED.iter().any(|m| changed.get(m).is_some()) {
        return Ok(None);
    }
    set.modify_db_proxy().map_err(unbuildable(MODIFY)).map(Some)
}
fn pool(spec: &Spec) -> Option<&ConnectionPoolConfigurationInfo> {
    spec.target_group.as_ref()?.connection_pool_config.as_ref()
}
/// Instances and clusters that the first has and the second lacks.
fn targets(of: &Spec, without: &Spec) -> Option<(Vec<String>, Vec<String>)> {
    let instances = of.instances.iter().filter(|i| !without.instances.contains(i)).map(|i| i.0.clone());
    let clusters = of.clusters.iter().filter(|c| !without.clusters.contains(c)).map(|c| c.0.clone());
    let (instances, clusters): (Vec<_>, Vec<_>) = (instances.collect(), clusters.collect());
    (!instances.is_empty() || !clusters.is_empty()).then_some((instances, clusters))
}
fn some(ids: Vec<String>) -> Option<Vec<String>> {
    (!ids.is_empty()).then_some(ids)
}

impl Kind for DbProxy {
    type Name = rds::DbProxy;
    type Spec = Spec;
    const TABLES: &'static [&'static Coverage] = &[
        &Spec::COVERAGE,
        &UserAuthConfigInfo::COVERAGE,
        &TargetGroup::COVERAGE,
        &ConnectionPoolConfigurationInfo::COVERAGE,
    ];
    const INPUTS: &'static [&'static Inputs] = &[
        &<Spec as Input<CreateDbProxyInputBuilder>>::TABLE,
        &<Spec as Input<ModifyDbProxyInputBuilder>>::TABLE,
        &<UserAuthConfigInfo as Input<sdk::UserAuthConfig>>::TABLE,
        &<ConnectionPoolConfigurationInfo as Input<sdk::ConnectionPoolConfiguration>>::TABLE,
    ];
    const OBSERVE: &'static [&'static str] = &[
        "rds:DescribeDBProxies",
        "rds:DescribeDBProxyTargetGroups",
        "rds:DescribeDBProxyTargets",
        "rds:ListTagsForResource",
    ];
    const RESTORE: &'static [&'static str] = &[
        CREATE,
        MODIFY,
        MODIFY_TARGETS,
        REGISTER,
        DEREGISTER,
        "rds:AddTagsToResource",
        "rds:RemoveTagsFromResource",
        "iam:PassRole",
    ];
    const TERRAFORM: &'static str = "aws_db_proxy";
    const NEVER_BACK: &'static [&'static str] = &["the address of the proxy: clients must be pointed at the new one"];
    const PHASE: Phase = Phase::LoadBalancing;
    const KEEPS_ID: bool = true;
    const ID_ELEMENT: &'static str = "DBProxyName";
    const IMMUTABLE: &'static [&'static str] = &[
        "db_proxy_name",
        "engine_family",
        "vpc_subnet_ids",
        "endpoint_network_type",
        "target_connection_network_type",
    ];
    const GIVEN: &'static [&'static str] = MODIFIED;

    async fn look(cx: &Cx, which: Which<'_>) -> Result<Vec<Seen<Spec>>, Failure> {
        let mut rows = proxies(cx, one(which)).await?;
        rows.retain(|p| {
            let status = p.status().map(|s| s.as_str());
            super::is_alive(status) && p.db_proxy_name().is_some_and(|n| is_asked(which, n))
        });
        super::each(rows, |proxy| complete(cx, proxy)).await
    }
    async fn read(cx: &Cx, id: &str) -> Result<Option<Seen<Spec>>, Failure> {
        Ok(Self::look(cx, Which::Ids(&[id.to_owned()])).await?.pop())
    }
    async fn made_by(_cx: &Cx, _step: &Step) -> Result<Option<String>, Failure> {
        Ok(None) // found by its name: made_at()
    }
    async fn create(cx: &Cx, spec: &Spec, step: &Step) -> Result<String, Failure> {
        let id = spec.db_proxy_name.clone().unwrap_or_default();
        let call = spec.create_db_proxy().map_err(unbuildable(CREATE))?;
        let call = call.set_tags(Some(tags_on_create(&spec.tags, step)));
        let answer = call.send_with(&cx.rds).await.map_err(failed(CREATE));
        super::made_at(cx, arn(cx, &id), &id, step, answer).await
    }
    async fn converge(cx: &Cx, id: &str, now: &Spec, want: &Spec) -> Result<(), Failure> {
        if let Some(call) = modification(now, want)? {
            call.db_proxy_name(id).send_with(&cx.rds).await.map_err(failed(MODIFY))?;
        }
        if let Some(pool) = pool(want).filter(|_| pool(now) != pool(want)) {
            let config: Option<sdk::ConnectionPoolConfiguration> = pool.give().map_err(unbuildable(MODIFY_TARGETS))?;
            let call = cx.rds.modify_db_proxy_target_group().db_proxy_name(id).target_group_name("default");
            call.set_connection_pool_config(config).send().await.map_err(failed(MODIFY_TARGETS))?;
        }
        if let Some((instances, clusters)) = targets(now, want) {
            let call = cx.rds.deregister_db_proxy_targets().db_proxy_name(id);
            let call = call.set_db_instance_identifiers(some(instances)).set_db_cluster_identifiers(some(clusters));
            super::gone_already(call.send().await.map_err(failed(DEREGISTER)))?;
        }
        if let Some((instances, clusters)) = targets(want, now) {
            let call = cx.rds.register_db_proxy_targets().db_proxy_name(id);
            let call = call.set_db_instance_identifiers(some(instances)).set_db_cluster_identifiers(some(clusters));
            super::already(call.send().await.map_err(failed(REGISTER)))?;
        }
        if now.tags != want.tags
            && let Some(arn) = arn(cx, id).await?
        {
            super::converge_tags_at(cx, arn, &now.tags, &want.tags).await?;
        }
        Ok(())
    }
    async fn settled(cx: &Cx, id: &str) -> Result<Settled, Failure> {
        let status = proxies(cx, Some(id.to_owned())).await?.pop().and_then(|p| p.status);
        Ok(match status.as_ref().map(|s| s.as_str()) {
            Some(word @ ("insufficient-resource-limits" | "suspended")) => Settled::Failed(word.to_owned()),
            word => super::is_available(word),
        })
    }
    fn readiness(_id: &str, _spec: &Spec, _copies: &Copies) -> Ready {
        Ready { cost: Cost::Identity, lost: "its address: clients must be pointed at the new one".into(), remedy: None }
    }
    fn calls(now: Option<&Spec>, want: &Spec) -> Vec<&'static str> {
        let Some(now) = now else { return vec![CREATE] };
        let modify = modification(now, want).ok().flatten().map(|_| MODIFY);
        let pool = (pool(want).is_some() && pool(now) != pool(want)).then_some(MODIFY_TARGETS);
        let moved = [targets(now, want).map(|_| DEREGISTER), targets(want, now).map(|_| REGISTER)];
        modify
            .into_iter()
            .chain(pool)
            .chain(moved.into_iter().flatten())
            .chain(tag_calls(&now.tags, &want.tags))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        aws::canned::{Answer, Canned},
        kinds::ec2::shapes::foretold,
    };
    use serde_json::json;

    #[tokio::test]
    async fn what_is_registered_is_read_without_the_members_of_a_cluster() {
        let canned = Canned::new(|call| {
            match call.action.as_str() {
            "DescribeDBProxies" => "<DBProxies><member><DBProxyName>p</DBProxyName><DBProxyArn>arn:aws:rds:eu-west-1:111122223333:db-proxy:prx-1</DBProxyArn><Status>available</Status></member></DBProxies>".into(),
            "DescribeDBProxyTargetGroups" => "<TargetGroups><member><DBProxyName>p</DBProxyName><TargetGroupName>default</TargetGroupName><ConnectionPoolConfig><MaxConnectionsPercent>80</MaxConnectionsPercent></ConnectionPoolConfig></member></TargetGroups>".into(),
            "DescribeDBProxyTargets" => "<Targets><member><Type>TRACKED_CLUSTER</Type><RdsResourceId>ledger</RdsResourceId></member><member><Type>RDS_INSTANCE</Type><RdsResourceId>ledger-1</RdsResourceId><TrackedClusterId>ledger</TrackedClusterId></member></Targets>".into(),
            _ => Answer::Ok("<TagList/>".into()),
        }
        });
        let spec = DbProxy::read(&canned.cx(), "p").await.unwrap().unwrap().spec;
        assert_eq!((spec.instances.len(), spec.clusters[0].0.as_str()), (0, "ledger"));
        assert_eq!(pool(&spec).and_then(|p| p.max_connections_percent), Some(80));
    }

    #[tokio::test]
    async fn it_is_set_up_with_its_pool_and_its_targets() {
        let canned = Canned::new(|_| "".into());
        let proxy = |tls: bool, percent: i32, instance: &str| {
            json!({
                "db_proxy_name": "p", "require_tls": tls,
                "target_group": {"connection_pool_config": {"max_connections_percent": percent}},
                "instances": [{"$late": "rds:db-instance", "id": instance}],
            })
        };
        assert_eq!(
            foretold::<DbProxy>(&canned, "p", &proxy(false, 100, "other"), &proxy(true, 80, "orders")).await,
            [
                "ModifyDBProxy DBProxyName=p RequireTLS=true",
                "ModifyDBProxyTargetGroup ConnectionPoolConfig.MaxConnectionsPercent=80 DBProxyName=p TargetGroupName=default",
                "DeregisterDBProxyTargets DBInstanceIdentifiers.member.1=other DBProxyName=p",
                "RegisterDBProxyTargets DBInstanceIdentifiers.member.1=orders DBProxyName=p",
            ]
        );
    }
}
