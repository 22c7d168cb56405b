"""Which permissions a call needs, and on what.

Secrets Manager and S3 are known to the resource; elsewhere the resource is given where the request tells it.
Resource policies (of buckets, of secrets) are not evaluated here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from . import errors
from .policy import Context, Demand, Verdict, evaluate

if TYPE_CHECKING:
    from .backend import Moto
    from .principals import Principal
    from .requests import AwsRequest

_S3_ACTIONS = {
    "CompleteMultipartUpload": "PutObject",
    "CopyObject": "PutObject",
    "CreateMultipartUpload": "PutObject",
    "DeleteBucketCors": "PutBucketCORS",
    "DeleteBucketEncryption": "PutEncryptionConfiguration",
    "DeleteBucketLifecycle": "PutLifecycleConfiguration",
    "DeleteBucketTagging": "PutBucketTagging",
    "DeleteObjects": "DeleteObject",
    "DeletePublicAccessBlock": "PutBucketPublicAccessBlock",
    "GetBucketCors": "GetBucketCORS",
    "GetBucketEncryption": "GetEncryptionConfiguration",
    "GetBucketLifecycleConfiguration": "GetLifecycleConfiguration",
    "GetPublicAccessBlock": "GetBucketPublicAccessBlock",
    "HeadBucket": "ListBucket",
    "HeadObject": "GetObject",
    "ListBuckets": "ListAllMyBuckets",
    "ListMultipartUploads": "ListBucketMultipartUploads",
    "ListObjectVersions": "ListBucketVersions",
    "ListObjects": "ListBucket",
    "ListObjectsV2": "ListBucket",
    "ListParts": "ListMultipartUploadParts",
    "PutBucketCors": "PutBucketCORS",
    "PutBucketEncryption": "PutEncryptionConfiguration",
    "PutBucketLifecycleConfiguration": "PutLifecycleConfiguration",
    "PutPublicAccessBlock": "PutBucketPublicAccessBlock",
    "UploadPart": "PutObject",
    "UploadPartCopy": "PutObject",
}
_S3_VERSIONED = {"GetObject", "DeleteObject", "GetObjectTagging", "PutObjectTagging", "DeleteObjectTagging"}
_NO_RESOURCE = {
    "secretsmanager:ListSecrets",
    "secretsmanager:GetRandomPassword",
    "secretsmanager:BatchGetSecretValue",
    "s3:ListBuckets",
    "sts:GetCallerIdentity",
    "iam:ListRoles",
    "iam:ListUsers",
    "iam:ListPolicies",
    "iam:ListInstanceProfiles",
}
_EC2_RESOURCES = {
    "InstanceId": "instance",
    "InstanceIds": "instance",
    "VolumeId": "volume",
    "SnapshotId": "snapshot",
    "SourceSnapshotId": "snapshot",
    "AllocationId": "elastic-ip",
    "SubnetId": "subnet",
    "VpcId": "vpc",
    "GroupId": "security-group",
}
_IAM_RESOURCES = {
    "RoleName": "role",
    "InstanceProfileName": "instance-profile",
    "UserName": "user",
    "GroupName": "group",
}
_PASSES_ROLE = {
    "ec2:RunInstances",
    "ec2:AssociateIamInstanceProfile",
    "ec2:ReplaceIamInstanceProfileAssociation",
    "iam:AddRoleToInstanceProfile",
}
NEW_SUFFIX = "-??????"
"""What the name of a secret that is about to be made ends with in its ARN, as far as anyone can know."""


class Authorization:
    """Decides what users and role sessions may do."""

    def __init__(self, moto: Moto) -> None:
        self._moto = moto

    def check(self, request: AwsRequest, principal: Principal) -> None:
        """Raises AwsError with the service's own denial."""
        if principal.kind == "administrator" or _action(request) == "sts:GetCallerIdentity":
            return
        for demand in self._demands(request, principal):
            verdict = self._verdict(principal, demand)
            if not verdict.allowed:
                raise errors.denied(
                    request.service,
                    f"User: {principal.arn} is not authorized to perform: {demand.action} "
                    f"on resource: {demand.shown} {verdict.reason}",
                )

    def resources(self, request: AwsRequest) -> tuple[str, ...]:
        """The ARNs of what a request acts on, as far as it tells."""
        return tuple(arn for arn, _ in self._named(request) if arn != "*")

    def _verdict(self, principal: Principal, demand: Demand) -> Verdict:
        find = self._moto.role if principal.kind == "role" else self._moto.user
        entity = find(principal.entity)
        if entity is None:  # deleted since: nothing grants anything any more
            return evaluate([], demand)
        verdict = evaluate(self._moto.policies(entity), demand)
        boundary = self._moto.boundary(entity)
        if verdict.allowed and boundary is not None:
            return evaluate(boundary, demand, "permissions boundary")
        return verdict

    def _demands(self, request: AwsRequest, principal: Principal) -> Iterator[Demand]:
        parameters = request.parameters
        context = self._context(request, principal)
        action = _permission(request)
        named = self._named(request)
        for arn, shown in named:
            yield Demand(action, arn, shown, self._of_secret(context, request, arn))
        if not named:
            yield Demand(action, None, "*", context)
        if _action(request) == "secretsmanager:BatchGetSecretValue":
            for secret_id in parameters.get("SecretIdList", []):
                arn, shown = self._secret(secret_id, request.region)
                yield Demand(
                    "secretsmanager:GetSecretValue", arn, shown, self._of_secret(context, request, arn)
                )
            if "Filters" in parameters:
                yield Demand("secretsmanager:ListSecrets", "*", "*", context)
                yield Demand("secretsmanager:GetSecretValue", "*", "*", context)
        if _action(request) in {"s3:CopyObject", "s3:UploadPartCopy"}:
            source = unquote(str(parameters.get("CopySource", ""))).partition("?")[0].lstrip("/")
            yield Demand("s3:GetObject", f"arn:aws:s3:::{source}", f"arn:aws:s3:::{source}", context)
        if _action(request) in _PASSES_ROLE and (role := self._passed_role(parameters)):
            arn = self._iam("role", role)
            yield Demand("iam:PassRole", arn, arn, context)

    def _named(self, request: AwsRequest) -> list[tuple[str, str]]:
        """(ARN, as denials name it) of each resource; empty where the request does not tell."""
        action = _action(request)
        parameters = request.parameters
        if action in _NO_RESOURCE:
            return [("*", "*")]
        match request.service:
            case "secretsmanager":
                if request.operation_name == "CreateSecret":
                    name = str(parameters.get("Name", ""))
                    return [(self._secret_arn(name, request.region) + NEW_SUFFIX, name)]
                return [self._secret(str(parameters.get("SecretId", "")), request.region)]
            case "s3":
                return [(arn, f'"{arn}"') for arn in _s3_resources(parameters)]
            case "ec2":
                arns = self._ec2(request)
            case "iam":
                arns = [
                    self._iam(kind, str(parameters[key]))
                    for key, kind in _IAM_RESOURCES.items()
                    if key in parameters
                ][:1]
                if "PolicyArn" in parameters and not arns:
                    arns = [str(parameters["PolicyArn"])]
            case _:
                arns = [str(parameters["RoleArn"])] if "RoleArn" in parameters else []
        return [(arn, arn) for arn in arns]

    def _secret(self, secret_id: str, region: str) -> tuple[str, str]:
        """A secret that does not exist is asked for by the ARN it would have without its suffix, as AWS does."""
        secret = self._moto.secret(secret_id, region)
        if secret is not None:
            return str(secret.arn), str(secret.arn)
        arn = secret_id if secret_id.startswith("arn:") else self._secret_arn(secret_id, region)
        return arn, secret_id

    def _secret_arn(self, name: str, region: str) -> str:
        return f"arn:aws:secretsmanager:{region}:{self._moto.account}:secret:{name}"

    def _ec2(self, request: AwsRequest) -> list[str]:
        if request.operation_name.startswith("Describe"):
            return ["*"]
        if request.operation_name in {"RunInstances", "CreateVolume", "CreateFleet"}:
            return []  # it needs several kinds of resource at once
        home = f"arn:aws:ec2:{request.region}:{self._moto.account}"
        return [
            f"{home}:{kind}/{value}"
            for key, kind in _EC2_RESOURCES.items()
            if key in request.parameters
            for value in _listed(request.parameters[key])
        ]

    def _iam(self, kind: str, name: str) -> str:
        path = "/"
        if kind == "role" and (role := self._moto.role(name)):
            path = role.path
        return f"arn:aws:iam::{self._moto.account}:{kind}{path}{name}"

    def _passed_role(self, parameters: Mapping[str, Any]) -> str | None:
        if "RoleName" in parameters:
            return str(parameters["RoleName"])
        profile = parameters.get("IamInstanceProfile") or {}
        name = profile.get("Arn") or profile.get("Name")
        try:
            return self._moto.role_of_profile(name) if name else None
        except KeyError:
            return None  # the limits refuse it by name

    def _context(self, request: AwsRequest, principal: Principal) -> Context:
        parameters = request.parameters
        find = self._moto.role if principal.kind == "role" else self._moto.user
        entity = find(principal.entity)
        values: dict[str, tuple[str, ...]] = {
            "aws:principalarn": (str(entity.arn) if entity else principal.arn,),
            "aws:principalaccount": (self._moto.account,),
            "aws:userid": (principal.user_id,),
            "aws:username": (principal.entity,) if principal.kind == "user" else (),
            "aws:requestedregion": (request.region,),
            "aws:securetransport": ("false",),
            "aws:tagkeys": tuple(_tags(parameters.get("Tags"))),
        }
        values |= {
            f"aws:requesttag/{key}".lower(): (value,) for key, value in _tags(parameters.get("Tags")).items()
        }
        families = {"aws:requesttag/"}
        if request.service == "secretsmanager":
            for key in ("SecretId", "Name", "VersionId", "VersionStage"):
                value = parameters.get(key)
                values[f"secretsmanager:{key}".lower()] = (str(value),) if value is not None else ()
            families |= {"aws:resourcetag/", "secretsmanager:resourcetag/"}
        if request.service == "s3":
            for key, parameter in (("s3:prefix", "Prefix"), ("s3:delimiter", "Delimiter")):
                values[key] = (str(parameters[parameter]),) if parameter in parameters else ()
        return Context(values, frozenset(families))

    def _of_secret(self, context: Context, request: AwsRequest, arn: str) -> Context:
        """The context with the condition keys of one secret."""
        if request.service != "secretsmanager" or arn == "*":
            return context
        values = dict(context.values)
        secret = self._moto.secret(arn, request.region)
        if secret is not None:
            values["secretsmanager:secretid"] = (str(secret.arn),)
            for key, value in _tags(secret.tags).items():
                values[f"aws:resourcetag/{key}".lower()] = (value,)
                values[f"secretsmanager:resourcetag/{key}".lower()] = (value,)
        return Context(values, context.families)


def _action(request: AwsRequest) -> str:
    return f"{request.service}:{request.operation_name}"


def _permission(request: AwsRequest) -> str:
    """IAM's name of the permission, which is not always the operation's."""
    operation = request.operation_name
    if request.service != "s3":
        return _action(request)
    name = _S3_ACTIONS.get(operation, operation)
    if name in _S3_VERSIONED and "VersionId" in request.parameters:
        name = name.replace("Object", "ObjectVersion", 1)
    return f"s3:{name}"


def _s3_resources(parameters: Mapping[str, Any]) -> list[str]:
    bucket = f"arn:aws:s3:::{parameters.get('Bucket', '')}"
    if "Delete" in parameters:
        return [f"{bucket}/{each['Key']}" for each in parameters["Delete"].get("Objects", [])]
    return [f"{bucket}/{parameters['Key']}" if "Key" in parameters else bucket]


def _tags(tags: Any) -> dict[str, str]:
    return {tag["Key"]: tag.get("Value", "") for tag in tags or [] if "Key" in tag}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
