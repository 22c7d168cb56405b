"""What AWS refuses and moto lets pass, in AWS's own error codes."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from .errors import AwsError

if TYPE_CHECKING:
    from botocore.model import Shape

    from .backend import Moto
    from .requests import AwsRequest

USER_DATA_BYTES = 16_384
"""Of user-data, before base64."""
S3_KEY_BYTES = 1_024
_SECRET_NAME = re.compile(r"[A-Za-z0-9/_+=.@-]+")
_WRITES_VALUE = {"CreateSecret", "PutSecretValue", "UpdateSecret"}
_MARKED = "You can't perform this operation on the secret because it was marked for deletion."


class Limits:
    """The checks that come after authorization and before moto."""

    def __init__(self, moto: Moto) -> None:
        self._moto = moto

    def check(self, request: AwsRequest) -> None:
        """Raises AwsError."""
        match request.service:
            case "secretsmanager":
                self._secrets_manager(request)
            case "ec2":
                self._ec2(request)
            case "s3":
                _s3(request)

    def _secrets_manager(self, request: AwsRequest) -> None:
        parameters = request.parameters
        if request.operation is not None and request.operation.input_shape is not None:
            for problem in _violations(request.operation.input_shape, parameters, ""):
                raise AwsError("ValidationException", f"1 validation error detected: {problem}")
        if request.operation_name not in _WRITES_VALUE:
            return
        if "SecretString" in parameters and "SecretBinary" in parameters:
            raise AwsError(
                "InvalidParameterException",
                "You can't specify both a binary secret value and a string secret value in the same secret.",
            )
        if request.operation_name == "CreateSecret":
            name = str(parameters["Name"])
            if not _SECRET_NAME.fullmatch(name):
                raise AwsError(
                    "ValidationException",
                    "Invalid name. Must be a valid name containing alphanumeric characters, or any of the "
                    "following: -/_+=.@!",
                )
            secret = self._moto.secret(name, request.region)
            if secret is not None and secret.name == name and secret.is_deleted():
                raise AwsError(
                    "InvalidRequestException",
                    "You can't create this secret because a secret with this name is already scheduled for deletion.",
                )
            return
        secret = self._moto.secret(str(parameters["SecretId"]), request.region)
        if secret is not None and secret.is_deleted():
            raise AwsError("InvalidRequestException", _MARKED)

    def _ec2(self, request: AwsRequest) -> None:
        parameters = request.parameters
        size = user_data_bytes(parameters)
        if size is not None and size > USER_DATA_BYTES:
            raise AwsError("InvalidParameterValue", f"User data is limited to {USER_DATA_BYTES} bytes")
        if request.operation_name == "RunInstances":
            self._image(parameters, request.region)
        if request.operation_name in {"RunInstances", "AssociateIamInstanceProfile"}:
            self._profile(parameters)
        if request.operation_name == "AttachVolume" and self._moto.attached(
            volume := str(parameters.get("VolumeId")), request.region
        ):
            raise AwsError("VolumeInUse", f"{volume} is already attached to an instance")

    def _image(self, parameters: Mapping[str, Any], region: str) -> None:
        image = parameters.get("ImageId")
        if image is None:
            if "LaunchTemplate" in parameters:
                return
            raise AwsError("MissingParameter", "The request must contain the parameter ImageId")
        if not str(image).startswith("ami-"):
            raise AwsError("InvalidAMIID.Malformed", f'Invalid id: "{image}" (expecting "ami-...")')
        if not self._moto.image_exists(str(image), region):
            raise AwsError("InvalidAMIID.NotFound", f"The image id '[{image}]' does not exist")

    def _profile(self, parameters: Mapping[str, Any]) -> None:
        given = parameters.get("IamInstanceProfile") or {}
        for member in ("Arn", "Name"):
            value = given.get(member)
            if value is None:
                continue
            where = f"Value ({value}) for parameter iamInstanceProfile.{member.lower()} is invalid."
            try:
                role = self._moto.role_of_profile(value)
            except KeyError:
                raise AwsError(
                    "InvalidParameterValue", f"{where} Invalid IAM Instance Profile {member}"
                ) from None
            if role is None:
                raise AwsError(
                    "InvalidParameterValue", f"{where} The instance profile has no associated IAM role"
                )


def secret_bytes(request: AwsRequest) -> int | None:
    """The size of the secret value that a request carries; of text, in UTF-8."""
    if request.service != "secretsmanager":
        return None
    values = [
        request.parameters[key] for key in ("SecretString", "SecretBinary") if key in request.parameters
    ]
    return sum(_size(value) for value in values) if values else None


def user_data_bytes(parameters: Any) -> int | None:
    """The decoded size of the user-data anywhere in EC2 parameters. Raises AwsError if it is not base64."""
    for value in _user_data(parameters):
        if isinstance(value, bytes):
            return len(value)
        try:
            return len(base64.b64decode(value, validate=True))
        except (binascii.Error, ValueError):
            raise AwsError("InvalidParameterValue", "Invalid BASE64 encoding of user data.") from None
    return None


def _user_data(parameters: Any) -> Iterator[str | bytes]:
    if isinstance(parameters, Mapping):
        for key, value in parameters.items():
            if key == "UserData" and isinstance(value, str | bytes):
                yield value
            elif key == "UserData" and isinstance(value, Mapping):
                yield value.get("Value", b"")
            else:
                yield from _user_data(value)
    elif isinstance(parameters, list):
        for each in parameters:
            yield from _user_data(each)


def _violations(shape: Shape, value: Any, path: str) -> Iterator[str]:
    """The sentences AWS says about values outside the service model's bounds."""
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    kind = shape.type_name
    if kind in {"string", "blob", "list", "map"}:
        size, what = _size(value), "length"
    elif kind in {"integer", "long"}:
        size, what = int(value), "value"
    else:
        size, what = 0, ""
    if what and low is not None and size < low:
        yield f"Value at '{path}' failed to satisfy constraint: Member must have {what} greater than or equal to {low}"
    if what and high is not None and size > high:
        yield f"Value at '{path}' failed to satisfy constraint: Member must have {what} less than or equal to {high}"
    if kind == "structure":
        members: Mapping[str, Shape] = shape.members  # type: ignore[attr-defined]
        for name in shape.metadata.get("required", []):
            if name not in value:
                yield f"Value null at '{_at(path, name)}' failed to satisfy constraint: Member must not be null"
        for name, member in members.items():
            if name in value:
                yield from _violations(member, value[name], _at(path, name))
    elif kind == "list":
        for number, each in enumerate(value, 1):
            yield from _violations(shape.member, each, f"{path}.{number}.member")  # type: ignore[attr-defined]


def _at(path: str, name: str) -> str:
    member = name[:1].lower() + name[1:]
    return f"{path}.{member}" if path else member


def _size(value: Any) -> int:
    return len(value.encode("utf-8", "surrogatepass")) if isinstance(value, str) else len(value)


def _s3(request: AwsRequest) -> None:
    key = request.parameters.get("Key")
    if isinstance(key, str) and len(key.encode("utf-8", "surrogatepass")) > S3_KEY_BYTES:
        raise AwsError("KeyTooLongError", "Your key is too long")
    if request.operation_name not in {"PutObject", "UploadPart"}:
        return
    for member, digest in _DIGESTS.items():
        claimed = request.parameters.get(member)
        if claimed and claimed != base64.b64encode(digest(request.body)).decode():
            raise AwsError("BadDigest", f"The {member} you specified did not match the calculated checksum.")


_DIGESTS: Mapping[str, Callable[[bytes], bytes]] = {
    "ContentMD5": lambda body: hashlib.md5(body, usedforsecurity=False).digest(),
    "ChecksumSHA256": lambda body: hashlib.sha256(body).digest(),
    "ChecksumSHA1": lambda body: hashlib.sha1(body, usedforsecurity=False).digest(),
    "ChecksumCRC32": lambda body: zlib.crc32(body).to_bytes(4, "big"),
}
