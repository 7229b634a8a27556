//! Answers requests for AWS services that are not here: 501 in the form that the service's SDK reads, and one line in the
//! log.
//!
//! It verifies nothing and reads no body: there is nothing to protect.

use axum::body::Body;
use axum::response::Response;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::api::error_table::{REQUEST_ID, request_id};
use crate::entry::sigv4::credential_scope;

/// Names what is asked for in the protocols that have one address for everything.
const TARGET: &str = "x-amz-target";
const CODE: &str = "NotImplemented";
/// Services whose requests say nowhere that their answers are XML.
const REST_XML: [&str; 5] = ["cloudfront", "route53", "s3express", "s3-outposts", "s3-object-lambda"];

/// The forms in which AWS's services write errors.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Protocol {
    /// JSON with the code in it and the content type of the request.
    Json,
    /// JSON with the code in a header.
    RestJson,
    /// XML with an element for the error.
    Xml,
    /// XML of EC2, which has its own.
    Ec2,
    /// CBOR with the code in it.
    Cbor,
}

/// Returns the service that a request is for, if it is an AWS service that is not here.
pub(crate) fn absent_service(parts: &Parts) -> Option<String> {
    let service = credential_scope(parts).map(|scope| scope.service);
    match service.as_deref() {
        Some("s3" | "mediaconvert" | "sts") => None,
        Some(_) => service,
        // Some requests are not signed, such as those for web identities.
        None => {
            text(&parts.headers, TARGET).map(|target| target.split('.').next().unwrap_or(target).to_owned())
        }
    }
}

/// Answers that the service is not here.
pub(crate) fn not_here(parts: &Parts, service: &str) -> Response {
    let id = request_id();
    let operation = text(&parts.headers, TARGET).map_or_else(
        || format!("{} {}", parts.method, parts.uri.path()),
        |target| target.rsplit('.').next().unwrap_or(target).to_owned(),
    );
    tracing::debug!(request.id = %id, service, operation, "a request for a service that is not here was refused");
    let message = format!(
        "this endpoint has no service `{service}`: it serves s3, mediaconvert and sts (GetCallerIdentity)"
    );
    let (kind, body) = document(protocol(parts, service), &parts.headers, &message, &id);
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::NOT_IMPLEMENTED;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert("x-amzn-errortype", HeaderValue::from_static(CODE));
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, id);
    }
    // The body is unread, and some clients go on sending it.
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn protocol(parts: &Parts, service: &str) -> Protocol {
    let kind = text(&parts.headers, "content-type").unwrap_or_default();
    let has_action = parts.uri.query().unwrap_or_default().split('&').any(|pair| pair.starts_with("Action="));
    if text(&parts.headers, "smithy-protocol") == Some("rpc-v2-cbor") {
        Protocol::Cbor
    } else if parts.headers.contains_key(TARGET) || kind.starts_with("application/x-amz-json") {
        Protocol::Json
    } else if service == "ec2" {
        Protocol::Ec2
    } else if kind.starts_with("application/x-www-form-urlencoded")
        || kind.contains("xml")
        || has_action
        || REST_XML.contains(&service)
    {
        Protocol::Xml
    } else {
        Protocol::RestJson
    }
}

/// Returns an error's content type and document.
fn document(protocol: Protocol, asked: &HeaderMap, message: &str, id: &str) -> (HeaderValue, Body) {
    let fixed = HeaderValue::from_static;
    let text = escaped(message);
    match protocol {
        Protocol::Json => {
            let kind =
                asked.get(header::CONTENT_TYPE).cloned().unwrap_or(fixed("application/x-amz-json-1.0"));
            (kind, serde_json::json!({ "__type": CODE, "message": message }).to_string().into())
        }
        Protocol::RestJson => {
            (fixed("application/json"), serde_json::json!({ "message": message }).to_string().into())
        }
        Protocol::Xml => (fixed("text/xml"), error_document("", "Receiver", CODE, message, id).into()),
        Protocol::Ec2 => {
            let document = format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>{CODE}</Code><Message>{text}\
                 </Message></Error></Errors><RequestID>{id}</RequestID></Response>"
            );
            (fixed("text/xml"), document.into())
        }
        Protocol::Cbor => {
            // A map of two pairs of texts.
            let mut bytes = vec![0xa2];
            for text in ["__type", CODE, "message", message] {
                let text = &text.as_bytes()[..text.len().min(usize::from(u8::MAX))];
                bytes.extend([0x78, u8::try_from(text.len()).unwrap_or(u8::MAX)]);
                bytes.extend_from_slice(text);
            }
            (fixed("application/cbor"), bytes.into())
        }
    }
}

/// Returns an error as services with XML write it. `space` is the namespace, with its attribute.
pub(crate) fn error_document(space: &str, fault: &str, code: &str, message: &str, id: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ErrorResponse{space}><Error><Type>{fault}</Type><Code>{code}</Code>\
         <Message>{}</Message></Error><RequestId>{id}</RequestId></ErrorResponse>",
        escaped(message)
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    fn parts(service: &str, target: &str, headers: &[(&'static str, &str)]) -> Parts {
        let claim = format!(
            "AWS4-HMAC-SHA256 Credential=AKIA/20260101/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=00"
        );
        let mut request = http::Request::post(target).header("authorization", claim);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    async fn answer(parts: &Parts) -> (String, Vec<u8>) {
        let service = absent_service(parts).unwrap();
        let response = not_here(parts, &service);
        assert_eq!(response.status(), 501);
        let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
        (kind, response.into_body().collect().await.unwrap().to_bytes().to_vec())
    }

    #[tokio::test]
    async fn each_protocol_gets_an_error_that_its_sdk_reads() {
        let form = [("content-type", "application/x-www-form-urlencoded; charset=utf-8")];
        let json =
            [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", "AmazonSSM.GetParameter")];
        let cbor = [("smithy-protocol", "rpc-v2-cbor")];
        for (service, target, headers, kind, begin) in [
            (
                "ssm",
                "/",
                &json[..],
                "application/x-amz-json-1.1",
                &b"{\"__type\":\"NotImplemented\",\"message\":"[..],
            ),
            (
                "sqs",
                "/?Action=ListQueues",
                &[],
                "text/xml",
                b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ErrorResponse><Error>",
            ),
            (
                "sns",
                "/",
                &form,
                "text/xml",
                b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ErrorResponse><Error>",
            ),
            (
                "ec2",
                "/",
                &form,
                "text/xml",
                b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>NotImplemented<",
            ),
            ("route53", "/2013-04-01/hostedzone", &[], "text/xml", b"<?xml version=\"1.0\""),
            ("lambda", "/2015-03-31/functions", &[], "application/json", b"{\"message\":"),
            (
                "monitoring",
                "/service/x",
                &cbor,
                "application/cbor",
                b"\xa2\x78\x06__type\x78\x0eNotImplemented\x78\x07message\x78",
            ),
        ] {
            let (found, body) = answer(&parts(service, target, headers)).await;
            assert_eq!(found, kind, "{service}");
            assert!(body.starts_with(begin), "{service}: {}", String::from_utf8_lossy(&body));
        }
    }

    #[test]
    fn services_that_are_here_are_not_absent() {
        for service in ["s3", "mediaconvert", "sts"] {
            assert_eq!(absent_service(&parts(service, "/", &[("x-amz-target", "X.Y")])), None);
        }
        let unsigned = http::Request::post("/").header("x-amz-target", "AWSCognitoIdentityService.GetId");
        let unsigned = unsigned.body(()).unwrap().into_parts().0;
        assert_eq!(absent_service(&unsigned).as_deref(), Some("AWSCognitoIdentityService"));
    }
}
