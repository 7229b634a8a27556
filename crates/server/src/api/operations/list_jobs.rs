//! ListJobs and SearchJobs: return up to 20 jobs that match a filter, and a token for the next page. Reads at most
//! one page, plus one job, from the engine. A page of very large jobs is shorter.
//!
//! The token is opaque and belongs to its filter. It identifies a job, not an offset, so jobs created in the meantime
//! neither repeat nor hide others.

use abanico_engine::{JobId, JobRecord, ListFilter};
use abanico_model::arn::{Arn, ResourceKind, resource_name};
use abanico_model::generated::Order;
use axum::Json;
use axum::extract::{Query, State};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::pages::order;
use crate::api::error_table::Error;
use crate::api::job_view;
use crate::edge::Edge;

const MAX_RESULTS: usize = 20;
/// Most bytes of settings in a page. A page of jobs with more has fewer jobs.
pub(super) const PAGE_BYTES: usize = 4 * 1024 * 1024;

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Params {
    input_file: Option<String>,
    status: Option<String>,
    queue: Option<String>,
    order: Option<String>,
    max_results: Option<String>,
    next_token: Option<String>,
}

pub(crate) async fn list_jobs(
    State(edge): State<Edge>,
    params: Result<Query<Params>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Value>, Error> {
    let Query(params) = params.map_err(|rejection| Error::bad_request(rejection.body_text()))?;
    let limit = limit(params.max_results.as_deref())?;
    let filter = filter(&params)?;
    let (records, goes_on) = edge.engine.list_within(filter, limit, PAGE_BYTES).await?;
    let jobs: Vec<Value> = records.iter().map(job_view::job).collect();
    let mut answer = json!({ "jobs": jobs });
    if let Some(last) = records.last().filter(|_| goes_on) {
        answer["nextToken"] = json!(token_after(last, &params));
    }
    Ok(Json(answer))
}

fn limit(given: Option<&str>) -> Result<usize, Error> {
    let Some(given) = given else { return Ok(MAX_RESULTS) };
    let number = given.parse().ok().filter(|number| (1..=MAX_RESULTS).contains(number));
    number.ok_or_else(|| {
        Error::bad_request(format!("maxResults `{given}` is not a number from 1 to {MAX_RESULTS}"))
    })
}

fn filter(params: &Params) -> Result<ListFilter, Error> {
    let stages = match params.status.as_deref() {
        None => Vec::new(),
        Some(status) => job_view::stages(status).ok_or_else(|| {
            let known = "SUBMITTED, PROGRESSING, COMPLETE, CANCELED, ERROR";
            Error::bad_request(format!("status `{status}` is not one of {known}"))
        })?,
    };
    let newest_first = order(params.order.as_deref())? != Some(Order::Ascending);
    let queue_arn = |given: &String| {
        Arn::local(ResourceKind::Queue, resource_name(given, ResourceKind::Queue)).to_string()
    };
    let after = params.next_token.as_deref().map(|token| place(token, params)).transpose()?;
    let queue = params.queue.as_ref().map(queue_arn);
    Ok(ListFilter { queue, stages, input_file: params.input_file.clone(), newest_first, after })
}

fn token_after(last: &JobRecord, params: &Params) -> String {
    let place = format!("{} {}", last.times.submitted_ms, last.id);
    URL_SAFE_NO_PAD.encode(format!("{} {place}", seal(&place, params)))
}

fn place(token: &str, params: &Params) -> Result<(i64, JobId), Error> {
    let read = || {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
        let (sealed, place) = text.split_once(' ')?;
        let (time, id) = place.split_once(' ')?;
        (sealed == seal(place, params)).then_some((time.parse().ok()?, JobId::new(id)))
    };
    read().ok_or_else(|| Error::bad_request("nextToken does not belong to this list; list again without it"))
}

/// Ties a token to the filter that it was issued for.
fn seal(place: &str, params: &Params) -> String {
    let Params { input_file, status, queue, order, .. } = params;
    let digest = Sha256::digest(format!("{input_file:?} {status:?} {queue:?} {order:?} {place}"));
    URL_SAFE_NO_PAD.encode(&digest[..9])
}

#[cfg(test)]
mod tests {
    use abanico_engine::Stage;

    use super::*;

    #[test]
    fn page_size_is_from_1_to_20() {
        assert_eq!(limit(None).unwrap(), 20);
        assert_eq!(limit(Some("1")).unwrap(), 1);
        for wrong in ["0", "21", "-1", "many", ""] {
            assert!(limit(Some(wrong)).unwrap_err().to_string().starts_with("maxResults"), "{wrong}");
        }
    }

    #[test]
    fn newest_jobs_come_first_by_default() {
        assert!(filter(&Params::default()).unwrap().newest_first);
        let params = Params {
            order: Some("ASCENDING".to_owned()),
            status: Some("ERROR".to_owned()),
            queue: Some("fast".to_owned()),
            ..Params::default()
        };
        let filter = filter(&params).unwrap();
        assert!(!filter.newest_first && filter.stages == [Stage::Error]);
        assert_eq!(filter.queue.unwrap(), "arn:aws:mediaconvert:us-east-1:000000000000:queues/fast");
    }

    #[test]
    fn altered_token_is_refused() {
        let params = Params::default();
        let sealed = |text: &str| URL_SAFE_NO_PAD.encode(format!("{} {text}", seal(text, &params)));
        assert_eq!(place(&sealed("17 17-abcdef"), &params).unwrap(), (17, JobId::new("17-abcdef")));
        let moved = URL_SAFE_NO_PAD.encode(format!("{} 18 17-abcdef", seal("17 17-abcdef", &params)));
        for wrong in [moved.as_str(), "", "AAAA", "%%", &sealed("x y")] {
            assert!(place(wrong, &params).is_err(), "{wrong}");
        }
        let other = Params { status: Some("ERROR".to_owned()), ..Params::default() };
        assert!(place(&sealed("17 17-abcdef"), &other).is_err());
    }
}
