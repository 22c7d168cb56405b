"""AWS's refusals: which code each service gives, and how each protocol writes it on the wire."""

from __future__ import annotations

import json
from uuid import uuid4
from xml.sax.saxutils import escape

from werkzeug.wrappers import Response


class AwsError(Exception):
    """A refusal in the service's own terms; boto3 raises it as ClientError with this code."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status

    def response(self, protocol: str, *, head: bool = False) -> Response:
        """The HTTP answer. `protocol` is botocore's name of it; an answer to HEAD has no body."""
        request_id = str(uuid4())
        body, content_type = _body(protocol, self, request_id)
        headers = {"x-amzn-requestid": request_id, "x-amz-request-id": request_id}
        if "json" in protocol:
            headers["x-amzn-errortype"] = self.code
        return Response("" if head else body, self.status, headers, content_type=content_type)


def _body(protocol: str, error: AwsError, request_id: str) -> tuple[str, str]:
    if "json" in protocol:
        return json.dumps({"__type": error.code, "message": error.message}), "application/x-amz-json-1.1"
    detail = f"<Code>{escape(error.code)}</Code><Message>{escape(error.message)}</Message>"
    if protocol == "ec2":
        xml = f"<Response><Errors><Error>{detail}</Error></Errors><RequestID>{request_id}</RequestID></Response>"
    elif protocol == "query":
        fault = "Sender" if error.status < 500 else "Receiver"
        xml = (
            f"<ErrorResponse><Error><Type>{fault}</Type>{detail}</Error>"
            f"<RequestId>{request_id}</RequestId></ErrorResponse>"
        )
    else:
        xml = f"<Error>{detail}<RequestId>{request_id}</RequestId><HostId>{request_id}</HostId></Error>"
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{xml}', "text/xml"


def denied(service: str, message: str) -> AwsError:
    match service:
        case "ec2":
            text = f"You are not authorized to perform this operation. {message}"
            return AwsError("UnauthorizedOperation", text, 403)
        case "s3" | "iam" | "sts":
            return AwsError("AccessDenied", message, 403)
        case _:
            return AwsError("AccessDeniedException", message, 400)


def unsigned(service: str) -> AwsError:
    match service:
        case "s3":
            return AwsError("AccessDenied", "Access Denied", 403)
        case "ec2":
            return AwsError(
                "AuthFailure", "AWS was not able to validate the provided access credentials", 401
            )
        case "iam" | "sts":
            return AwsError("MissingAuthenticationToken", "Request is missing Authentication Token", 403)
        case _:
            return AwsError("MissingAuthenticationTokenException", "Missing Authentication Token", 400)


def unknown_key(service: str) -> AwsError:
    match service:
        case "s3":
            text = "The AWS Access Key Id you provided does not exist in our records."
            return AwsError("InvalidAccessKeyId", text, 403)
        case "ec2":
            return AwsError(
                "AuthFailure", "AWS was not able to validate the provided access credentials", 401
            )
        case "iam" | "sts":
            text = "The security token included in the request is invalid."
            return AwsError("InvalidClientTokenId", text, 403)
        case _:
            text = "The security token included in the request is invalid."
            return AwsError("UnrecognizedClientException", text, 400)


def wrong_token(service: str) -> AwsError:
    """A known access key with a session token that is not its own."""
    if service == "s3":
        return AwsError("InvalidToken", "The provided token is malformed or otherwise invalid.", 400)
    return unknown_key(service)


def expired(service: str) -> AwsError:
    match service:
        case "s3":
            return AwsError("ExpiredToken", "The provided token has expired.", 400)
        case "ec2":
            return AwsError("RequestExpired", "Request has expired.", 400)
        case "iam" | "sts":
            return AwsError("ExpiredToken", "The security token included in the request is expired", 403)
        case _:
            text = "The security token included in the request is expired"
            return AwsError("ExpiredTokenException", text, 400)


def wrong_region(service: str, region: str) -> AwsError:
    """A request that was signed for another region than the endpoint's."""
    text = f"Credential should be scoped to a valid region, not '{region}'."
    match service:
        case "s3":
            return AwsError("AuthorizationHeaderMalformed", text, 400)
        case "ec2":
            return AwsError("AuthFailure", text, 401)
        case _:
            return AwsError("InvalidSignatureException", text, 400)


def presigned_too_old(service: str) -> AwsError:
    """A presigned request used after the time it was signed for."""
    if service == "s3":
        return AwsError("AccessDenied", "Request has expired", 403)
    return AwsError("SignatureDoesNotMatch", "Signature expired: the presigned request is too old", 403)


def throttled(service: str) -> AwsError:
    match service:
        case "s3":
            return AwsError("SlowDown", "Please reduce your request rate.", 503)
        case "ec2":
            return AwsError("RequestLimitExceeded", "Request limit exceeded.", 503)
        case "iam" | "sts":
            return AwsError("Throttling", "Rate exceeded", 400)
        case _:
            return AwsError("ThrottlingException", "Rate exceeded", 400)
