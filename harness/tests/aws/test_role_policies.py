"""Role policies are evaluated for every call of a role session, and of an IAM user."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from harness.tests.aws.stranger import TRUST, Stranger, allow, deny, policy, refused, unique
from harness.world.aws import AwsGateway, Credentials

ANY = "arn:aws:secretsmanager:*:*:secret:"


def new_secret(gateway: AwsGateway, name: str, value: str = "value", **more: Any) -> str:
    return str(gateway.client("secretsmanager").create_secret(Name=name, SecretString=value, **more)["ARN"])


def can_read(stranger: Stranger, credentials: Credentials, secret_id: str) -> bool:
    """False is AccessDeniedException and nothing else."""
    client = stranger.client("secretsmanager", credentials)
    try:
        client.get_secret_value(SecretId=secret_id)
    except ClientError as refusal:
        if refusal.response["Error"]["Code"] != "AccessDeniedException":
            raise
        return False
    return True


def test_a_role_reads_its_own_secret_and_no_other(gateway: AwsGateway, stranger: Stranger) -> None:
    own, other = unique("molecule/tenant/a/bootstrap"), unique("molecule/tenant/b/bootstrap")
    arn = new_secret(gateway, own)
    new_secret(gateway, other)
    machine = stranger.role(allow("secretsmanager:GetSecretValue", f"{ANY}{own}-??????"))
    assert can_read(stranger, machine, own)
    assert can_read(stranger, machine, arn)
    assert can_read(stranger, machine, arn[:-7])
    assert not can_read(stranger, machine, other)


def test_a_denial_says_who_what_and_on_what_as_aws_does(gateway: AwsGateway, stranger: Stranger) -> None:
    name = unique("secret")
    arn = new_secret(gateway, name)
    role = stranger.new_role()
    client = stranger.client("secretsmanager", stranger.session(role, "i-42"))
    sentence = (
        f"User: arn:aws:sts::123456789012:assumed-role/{role}/i-42 is not authorized to perform: "
        f"secretsmanager:GetSecretValue on resource: {arn} because no identity-based policy allows the "
        "secretsmanager:GetSecretValue action"
    )
    with refused("AccessDeniedException", status=400, match=sentence):
        client.get_secret_value(SecretId=name)


def test_tenant_a_does_not_read_tenant_a_b(gateway: AwsGateway, stranger: Stranger) -> None:
    tenant = unique("a")
    short, long = f"molecule/tenant/{tenant}/bootstrap", f"molecule/tenant/{tenant}-b/bootstrap"
    new_secret(gateway, short)
    new_secret(gateway, long)
    machine = stranger.role(allow("secretsmanager:GetSecretValue", f"{ANY}{short}-??????"))
    assert can_read(stranger, machine, short)
    assert not can_read(stranger, machine, long)


def test_a_name_that_only_looks_like_a_suffix_is_another_secret(
    gateway: AwsGateway, stranger: Stranger
) -> None:
    name = unique("bootstrap")
    new_secret(gateway, name)
    new_secret(gateway, f"{name}-abcdef")
    machine = stranger.role(allow("secretsmanager:GetSecretValue", f"{ANY}{name}-??????"))
    assert can_read(stranger, machine, name)
    assert not can_read(stranger, machine, f"{name}-abcdef")


def test_a_secret_that_does_not_exist_is_denied_unless_its_name_without_suffix_is_allowed(
    gateway: AwsGateway, stranger: Stranger
) -> None:
    name = unique("absent")
    strict = stranger.client(
        "secretsmanager", stranger.role(allow("secretsmanager:*", f"{ANY}{name}-??????"))
    )
    with refused("AccessDeniedException", match=f"on resource: {name} because"):
        strict.get_secret_value(SecretId=name)
    loose = stranger.client("secretsmanager", stranger.role(allow("secretsmanager:*", f"{ANY}{name}*")))
    with refused("ResourceNotFoundException"):
        loose.get_secret_value(SecretId=name)


def test_a_role_that_may_read_may_not_write(gateway: AwsGateway, stranger: Stranger) -> None:
    name = unique("secret")
    new_secret(gateway, name)
    machine = stranger.role(allow("secretsmanager:GetSecretValue", f"{ANY}{name}-??????"))
    client = stranger.client("secretsmanager", machine)
    with refused("AccessDeniedException"):
        client.put_secret_value(SecretId=name, SecretString="new")
    with refused("AccessDeniedException"):
        client.create_secret(Name=unique("new"), SecretString="new")
    with refused("AccessDeniedException"):
        client.list_secrets()
    with refused("AccessDeniedException"):
        client.batch_get_secret_value(SecretIdList=[name])
    assert gateway.client("secretsmanager").get_secret_value(SecretId=name)["SecretString"] == "value"


def test_a_batch_needs_the_permission_on_each_of_its_secrets(gateway: AwsGateway, stranger: Stranger) -> None:
    own, other = unique("own"), unique("other")
    new_secret(gateway, own)
    new_secret(gateway, other)
    machine = stranger.role(
        allow("secretsmanager:BatchGetSecretValue"),
        allow("secretsmanager:GetSecretValue", f"{ANY}{own}-??????"),
    )
    client = stranger.client("secretsmanager", machine)
    assert len(client.batch_get_secret_value(SecretIdList=[own])["SecretValues"]) == 1
    with refused("AccessDeniedException"):
        client.batch_get_secret_value(SecretIdList=[own, other])
    with refused("AccessDeniedException"):
        client.batch_get_secret_value(Filters=[{"Key": "name", "Values": ["o"]}])


def test_a_new_secret_is_allowed_by_the_pattern_of_its_future_arn(stranger: Stranger) -> None:
    name = unique("new")
    client = stranger.client(
        "secretsmanager", stranger.role(allow("secretsmanager:CreateSecret", f"{ANY}{name}-??????"))
    )
    with refused("AccessDeniedException"):
        client.create_secret(Name=f"{name}-more-than-that", SecretString="a")
    client.create_secret(Name=name, SecretString="a")


def test_an_explicit_deny_wins_over_any_allow(gateway: AwsGateway, stranger: Stranger) -> None:
    open_, closed = unique("open"), unique("closed")
    new_secret(gateway, open_)
    new_secret(gateway, closed)
    machine = stranger.role(allow("*"), deny("secretsmanager:GetSecretValue", f"{ANY}{closed}-??????"))
    assert can_read(stranger, machine, open_)
    with refused("AccessDeniedException", match="with an explicit deny in an identity-based policy"):
        stranger.client("secretsmanager", machine).get_secret_value(SecretId=closed)


def test_not_action_and_not_resource_are_honoured(gateway: AwsGateway, stranger: Stranger) -> None:
    kept, other = unique("kept"), unique("other")
    new_secret(gateway, kept)
    new_secret(gateway, other)
    no_reads = stranger.role({"Effect": "Allow", "NotAction": "secretsmanager:Get*", "Resource": "*"})
    client = stranger.client("secretsmanager", no_reads)
    client.describe_secret(SecretId=kept)
    assert not can_read(stranger, no_reads, kept)
    elsewhere = {
        "Effect": "Allow",
        "Action": "secretsmanager:GetSecretValue",
        "NotResource": f"{ANY}{kept}-??????",
    }
    machine = stranger.role(elsewhere)
    assert can_read(stranger, machine, other)
    assert not can_read(stranger, machine, kept)


def test_actions_match_in_any_case_and_resources_do_not(gateway: AwsGateway, stranger: Stranger) -> None:
    name = unique("case")
    new_secret(gateway, name)
    assert can_read(
        stranger, stranger.role(allow("SECRETSMANAGER:getsecretvalue", f"{ANY}{name}-??????")), name
    )
    assert not can_read(
        stranger, stranger.role(allow("secretsmanager:GetSecretValue", f"{ANY}{name.upper()}-??????")), name
    )


def test_attached_managed_policies_count_and_end_when_detached(
    gateway: AwsGateway, stranger: Stranger
) -> None:
    name = unique("secret")
    new_secret(gateway, name)
    iam = gateway.client("iam")
    arn = iam.create_policy(
        PolicyName=unique("managed"), PolicyDocument=policy(allow("secretsmanager:GetSecretValue"))
    )["Policy"]["Arn"]
    role = stranger.new_role()
    machine = stranger.session(role)
    assert not can_read(stranger, machine, name)
    iam.attach_role_policy(RoleName=role, PolicyArn=arn)
    assert can_read(stranger, machine, name)
    iam.detach_role_policy(RoleName=role, PolicyArn=arn)
    assert not can_read(stranger, machine, name)


def test_a_permissions_boundary_limits_what_policies_allow(gateway: AwsGateway, stranger: Stranger) -> None:
    name = unique("secret")
    new_secret(gateway, name)
    iam = gateway.client("iam")
    boundary = iam.create_policy(PolicyName=unique("boundary"), PolicyDocument=policy(allow("s3:*")))[
        "Policy"
    ]["Arn"]
    role = stranger.new_role(allow("*"))
    iam.put_role_permissions_boundary(RoleName=role, PermissionsBoundary=boundary)
    with refused("AccessDeniedException", match="no permissions boundary allows"):
        stranger.client("secretsmanager", stranger.session(role)).get_secret_value(SecretId=name)


def test_a_session_outlives_its_role_with_no_rights(gateway: AwsGateway, stranger: Stranger) -> None:
    name = unique("secret")
    new_secret(gateway, name)
    role = stranger.new_role(allow("*"))
    machine = stranger.session(role)
    assert can_read(stranger, machine, name)
    iam = gateway.client("iam")
    iam.delete_role_policy(RoleName=role, PolicyName="inline")
    iam.delete_role(RoleName=role)
    assert not can_read(stranger, machine, name)


@pytest.mark.parametrize(
    "condition",
    [
        {"IpAddress": {"aws:SourceIp": "0.0.0.0/0"}},
        {"StringEquals": {"aws:SourceVpce": "vpce-1"}},
        {"DateGreaterThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}},
    ],
)
def test_a_condition_that_cannot_be_evaluated_denies_and_says_so(
    gateway: AwsGateway, stranger: Stranger, condition: dict[str, Any]
) -> None:
    name = unique("secret")
    new_secret(gateway, name)
    allowed = stranger.role(allow("secretsmanager:*", Condition=condition))
    with refused("AccessDeniedException", match="uses the condition .* which this cloud cannot evaluate"):
        stranger.client("secretsmanager", allowed).get_secret_value(SecretId=name)
    forbidden = stranger.role(allow("secretsmanager:*"), deny("secretsmanager:Get*", Condition=condition))
    with refused("AccessDeniedException", match="cannot evaluate"):
        stranger.client("secretsmanager", forbidden).get_secret_value(SecretId=name)


def test_a_condition_on_the_tenant_tag_of_a_secret_is_evaluated(
    gateway: AwsGateway, stranger: Stranger
) -> None:
    own, other, bare = unique("own"), unique("other"), unique("bare")
    new_secret(gateway, own, Tags=[{"Key": "tenant", "Value": "a"}])
    new_secret(gateway, other, Tags=[{"Key": "tenant", "Value": "a-b"}])
    new_secret(gateway, bare)
    condition = {"StringEquals": {"aws:ResourceTag/tenant": "a"}}
    machine = stranger.role(allow("secretsmanager:GetSecretValue", Condition=condition))
    assert can_read(stranger, machine, own)
    assert not can_read(stranger, machine, other)
    assert not can_read(stranger, machine, bare)


def test_a_policy_variable_ties_a_secret_to_the_session(gateway: AwsGateway, stranger: Stranger) -> None:
    role = stranger.new_role(
        allow("secretsmanager:GetSecretValue", f"{ANY}machine/${{aws:userid}}-??????"),
    )
    role_id = gateway.client("iam").get_role(RoleName=role)["Role"]["RoleId"]
    machine = stranger.session(role, "i-1")
    # a colon is not of a secret's alphabet, so the variable can be seen to be filled in by what is denied
    with refused("AccessDeniedException", match="no identity-based policy allows"):
        stranger.client("secretsmanager", machine).get_secret_value(SecretId=f"machine/{role_id}")
    unknown = stranger.role(allow("secretsmanager:GetSecretValue", f"{ANY}${{aws:SourceIdentity}}-??????"))
    with refused("AccessDeniedException", match=r"policy variable aws:SourceIdentity"):
        stranger.client("secretsmanager", unknown).get_secret_value(SecretId="x")


def test_ec2_is_denied_in_ec2s_own_words(gateway: AwsGateway, stranger: Stranger) -> None:
    machine = stranger.role(allow("secretsmanager:*"))
    with refused(
        "UnauthorizedOperation", status=403, match="You are not authorized to perform this operation"
    ):
        stranger.client("ec2", machine).describe_instances()
    stranger.client("ec2", stranger.role(allow("ec2:Describe*"))).describe_instances()


def test_an_instance_may_be_stopped_only_by_who_is_allowed_to_stop_it(
    gateway: AwsGateway, stranger: Stranger
) -> None:
    image = gateway.register_image("boot")
    launched = gateway.client("ec2").run_instances(ImageId=image, MinCount=2, MaxCount=2)["Instances"]
    own, other = (each["InstanceId"] for each in launched)
    client = stranger.client(
        "ec2", stranger.role(allow("ec2:StopInstances", f"arn:aws:ec2:*:*:instance/{own}"))
    )
    client.stop_instances(InstanceIds=[own])
    with refused("UnauthorizedOperation"):
        client.stop_instances(InstanceIds=[own, other])


def test_a_role_cannot_launch_a_machine_with_a_role_it_may_not_pass(
    gateway: AwsGateway, stranger: Stranger
) -> None:
    iam, image = gateway.client("iam"), gateway.register_image("boot")
    powerful, profile = stranger.new_role(allow("*")), unique("profile")
    iam.create_instance_profile(InstanceProfileName=profile)
    iam.add_role_to_instance_profile(InstanceProfileName=profile, RoleName=powerful)
    launch = {"ImageId": image, "MinCount": 1, "MaxCount": 1, "IamInstanceProfile": {"Name": profile}}
    with refused("UnauthorizedOperation", match="iam:PassRole"):
        stranger.client("ec2", stranger.role(allow("ec2:*"))).run_instances(**launch)
    passer = stranger.role(allow("ec2:*"), allow("iam:PassRole", f"arn:aws:iam::*:role/{powerful}"))
    stranger.client("ec2", passer).run_instances(**launch)


def test_iam_is_denied_in_iams_own_words(stranger: Stranger) -> None:
    with refused("AccessDenied", status=403, match="iam:CreateRole"):
        stranger.client("iam", stranger.role(allow("ec2:*"))).create_role(
            RoleName=unique("role"), AssumeRolePolicyDocument=json.dumps(TRUST)
        )


def test_objects_are_guarded_by_bucket_and_key(gateway: AwsGateway, stranger: Stranger) -> None:
    bucket = unique("bucket")
    s3 = gateway.client("s3")
    s3.create_bucket(Bucket=bucket)
    for key in ("tenants/a/x", "tenants/a-b/x"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"bytes")
    home = f"arn:aws:s3:::{bucket}"
    machine = stranger.role(
        allow("s3:GetObject", f"{home}/tenants/a/*"),
        allow("s3:ListBucket", home, Condition={"StringLike": {"s3:prefix": "tenants/a/*"}}),
    )
    client = stranger.client("s3", machine)
    assert client.get_object(Bucket=bucket, Key="tenants/a/x")["Body"].read() == b"bytes"
    client.head_object(Bucket=bucket, Key="tenants/a/x")
    assert client.list_objects_v2(Bucket=bucket, Prefix="tenants/a/")["KeyCount"] == 1
    with refused("AccessDenied", status=403):
        client.get_object(Bucket=bucket, Key="tenants/a-b/x")
    with refused("403"):
        client.head_object(Bucket=bucket, Key="tenants/a-b/x")
    with refused("AccessDenied"):
        client.put_object(Bucket=bucket, Key="tenants/a/x", Body=b"new")
    with refused("AccessDenied"):
        client.list_objects_v2(Bucket=bucket, Prefix="")
    with refused("AccessDenied"):
        client.list_buckets()
    with refused("AccessDenied"):
        client.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "tenants/a/x"}]})


def test_a_copy_needs_the_right_to_read_its_source(gateway: AwsGateway, stranger: Stranger) -> None:
    bucket = unique("bucket")
    s3 = gateway.client("s3")
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="theirs", Body=b"bytes")
    writer = stranger.client("s3", stranger.role(allow("s3:*", f"arn:aws:s3:::{bucket}/mine")))
    with refused("AccessDenied", match="theirs"):
        writer.copy_object(Bucket=bucket, Key="mine", CopySource={"Bucket": bucket, "Key": "theirs"})


def test_an_iam_user_has_the_rights_of_its_own_and_its_groups_policies(
    gateway: AwsGateway, stranger: Stranger
) -> None:
    name, group = unique("user"), unique("group")
    secret = unique("secret")
    new_secret(gateway, secret)
    iam = gateway.client("iam")
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    user = Credentials(key["AccessKeyId"], key["SecretAccessKey"])
    assert stranger.client("sts", user).get_caller_identity()["Arn"].endswith(f":user/{name}")
    assert not can_read(stranger, user, secret)
    iam.create_group(GroupName=group)
    iam.put_group_policy(GroupName=group, PolicyName="p", PolicyDocument=policy(allow("secretsmanager:*")))
    iam.add_user_to_group(GroupName=group, UserName=name)
    assert can_read(stranger, user, secret)
    iam.delete_access_key(UserName=name, AccessKeyId=user.access_key_id)
    with refused("UnrecognizedClientException"):
        stranger.client("secretsmanager", user).get_secret_value(SecretId=secret)
