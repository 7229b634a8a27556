//! Reads the bodies of requests: limits them, parses them and checks them against AWS's model. Works on the threads
//! for blocking work, two bodies at a time, so that a large body delays no other request.

use abanico_model::problem::Problems;
use abanico_model::validate::limits::{MOST_VALUES, count_values};
use abanico_model::{keys, parse, validate};
use axum::body::Bytes;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::api::error_table::{Error, ErrorKind};
use crate::entry::authentication::MAX_API_BODY_BYTES;

/// Largest body in bytes of a request that has no job settings.
const MAX_SMALL_BODY_BYTES: usize = 64 * 1024;
/// Bodies that are parsed at the same time.
static TURNS: Semaphore = Semaphore::const_new(2);

/// Waits for a turn to parse a body. The turn ends when the permit is dropped.
pub(super) async fn turn() -> Result<SemaphorePermit<'static>, Error> {
    TURNS.acquire().await.map_err(|error| Error::internal("cannot wait to read a request", error))
}

/// Parses a body as a JSON object.
///
/// # Errors
/// Fails if the body is not a JSON object, or has more values than a request may have.
pub(super) async fn parsed(body: Bytes) -> Result<Value, Error> {
    apart(move || parse_object(&body)).await
}

/// Parses a body as the shape `shape` of AWS's model and returns it in wire form, without members that the shape does
/// not have. `of_path` is a member that AWS's model requires, but that clients send in the path.
///
/// # Errors
/// Fails if the body is too large, not a JSON object, or does not have the shape.
pub(super) async fn checked(
    body: Bytes,
    shape: &'static str,
    of_path: Option<(&'static str, String)>,
) -> Result<Value, Error> {
    let (request, problems) = read(body, shape, of_path).await?;
    problems.into_result().map_err(|problems| Error::bad_request(problems.to_string()))?;
    Ok(request)
}

/// Like [`checked`], but returns the problems that AWS's model and the service's rules find, for an answer with all
/// problems.
///
/// # Errors
/// Fails if the body is too large or not a JSON object.
pub(super) async fn read(
    body: Bytes,
    shape: &'static str,
    of_path: Option<(&'static str, String)>,
) -> Result<(Value, Problems), Error> {
    let most_bytes = if shape.contains("JobTemplate") { MAX_API_BODY_BYTES } else { MAX_SMALL_BODY_BYTES };
    if body.len() > most_bytes {
        let what = format!("the request body is larger than {} KiB", most_bytes / 1024);
        return Err(Error::new(ErrorKind::TooLarge, what));
    }
    let _turn = turn().await?;
    apart(move || {
        let mut request = parse_object(&body)?;
        if let (Some((member, value)), Some(object)) = (of_path, request.as_object_mut()) {
            object.insert(member.to_owned(), json!(value));
        }
        let mut request = keys::to_wire(request, shape);
        parse::remove_unknown(&mut request, shape);
        let problems = validate::validate(&request, shape).err().unwrap_or_default();
        Ok((request, problems))
    })
    .await
}

async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Error::internal("cannot read a request", error))?
}

fn parse_object(body: &[u8]) -> Result<Value, Error> {
    if count_values(body) > MOST_VALUES {
        return Err(Error::bad_request(format!("/: Should have at most {MOST_VALUES} values in all")));
    }
    let request: Value = serde_json::from_slice(body)
        .map_err(|error| Error::bad_request(format!("the body is not JSON: {error}")))?;
    if request.is_object() { Ok(request) } else { Err(Error::bad_request("the body is not a JSON object")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn body_must_be_a_json_object() {
        let many = format!("[{}1]", "1,".repeat(MOST_VALUES));
        for (body, start) in [
            ("{", "the body is not JSON: "),
            ("[]", "the body is not a JSON object"),
            ("", "the body"),
            (many.as_str(), "/: Should have at most 100000 values"),
        ] {
            let message = parsed(Bytes::from(body.to_owned())).await.unwrap_err().to_string();
            assert!(message.starts_with(start), "{message}");
        }
    }

    #[tokio::test]
    async fn unknown_members_are_left_out() {
        let body = Bytes::from_static(br#"{"Name": "q", "Colour": "red", "description": "d"}"#);
        let request = checked(body, "CreateQueueRequest", None).await.unwrap();
        assert_eq!(request, json!({"name": "q", "description": "d"}));
    }

    #[tokio::test]
    async fn only_requests_with_job_settings_may_be_large() {
        let body = |bytes: usize| Bytes::from(format!("{{\"name\": \"{}\"}}", "x".repeat(bytes)));
        let refused =
            async |shape| checked(body(MAX_SMALL_BODY_BYTES), shape, None).await.unwrap_err().kind();
        assert_eq!(refused("CreatePresetRequest").await, ErrorKind::TooLarge);
        assert_eq!(refused("CreateJobTemplateRequest").await, ErrorKind::BadRequest);
    }
}
