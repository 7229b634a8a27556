//! StartJobsQuery and GetJobsQueryResults: find the jobs that match all of a query's filters, page by page. A query
//! runs when its results are requested, so its status is always COMPLETE.

use abanico_engine::{Engine, ItemKind, JobId, JobRecord, ListFilter};
use abanico_model::arn::{ResourceKind, resource_name};
use abanico_model::generated::{JobStatus, Order};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use serde_json::{Value, json};

use super::list_jobs::PAGE_BYTES;
use super::pages::order;
use super::request_body::checked;
use super::versions::ENGINE_VERSION;
use crate::api::error_table::Error;
use crate::api::job_view;
use crate::edge::Edge;

const MAX_RESULTS: usize = 20;
/// Jobs read at once while looking for matches.
const BATCH: usize = 200;

pub(crate) async fn start(State(edge): State<Edge>, body: Bytes) -> Result<(StatusCode, Json<Value>), Error> {
    let request = checked(body, "StartJobsQueryRequest", None).await?;
    let place = request.get("nextToken").and_then(Value::as_str).map(read_token).transpose()?;
    let id = edge.engine.new_query_id();
    let query = json!({"request": request, "after": place.map(|(time, id)| json!([time, id]))});
    edge.engine.put_item(ItemKind::JobsQuery, &id, query).await?;
    Ok((StatusCode::CREATED, Json(json!({ "id": id }))))
}

pub(crate) async fn results(State(edge): State<Edge>, Path(id): Path<String>) -> Result<Json<Value>, Error> {
    let query = edge.engine.item(ItemKind::JobsQuery, &id).await?;
    let query =
        query.ok_or_else(|| Error::not_found(format!("The specified jobs query was not found: id={id}")))?;
    let request = &query["request"];
    let most = request.get("maxResults").and_then(Value::as_u64).and_then(|most| usize::try_from(most).ok());
    let most = most.unwrap_or(MAX_RESULTS).clamp(1, MAX_RESULTS);
    let after = query["after"]
        .as_array()
        .and_then(|place| Some((place.first()?.as_i64()?, JobId::new(place.get(1)?.as_str()?))));
    let (found, goes_on) = passing(&edge.engine, request, after, most).await?;
    let mut answer =
        json!({"jobs": found.iter().map(job_view::job).collect::<Vec<_>>(), "status": JobStatus::Complete});
    if let Some(last) = found.last().filter(|_| goes_on) {
        let place = format!("{} {}", last.times.submitted_ms, last.id);
        answer["nextToken"] = json!(URL_SAFE_NO_PAD.encode(place));
    }
    Ok(Json(answer))
}

fn read_token(token: &str) -> Result<(i64, String), Error> {
    let read = || {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
        let (time, id) = text.split_once(' ')?;
        Some((time.parse().ok()?, id.to_owned()))
    };
    read().ok_or_else(|| {
        Error::bad_request("/nextToken: is not the token of a jobs query; query again without it")
    })
}

/// Returns up to `most` jobs that match the request's filters, starting after a given job, and whether there are more.
/// Returns fewer if they are very large.
async fn passing(
    engine: &Engine,
    request: &Value,
    after: Option<(i64, JobId)>,
    most: usize,
) -> Result<(Vec<JobRecord>, bool), Error> {
    let filters: Vec<Filter> =
        request.get("filterList").and_then(Value::as_array).into_iter().flatten().map(Filter::read).collect();
    let order = order(request.get("order").and_then(Value::as_str))?.unwrap_or(Order::Descending);
    let newest_first = order == Order::Descending;
    let (mut found, mut after, mut bytes) = (Vec::new(), after, 0);
    loop {
        let filter = ListFilter { newest_first, after: after.clone(), ..ListFilter::default() };
        let (batch, has_more) = engine.list_within(filter, BATCH, PAGE_BYTES).await?;
        after = batch.last().map(|job| (job.times.submitted_ms, job.id.clone()));
        for job in batch {
            if !filters.iter().all(|filter| filter.takes(&job)) {
                continue;
            }
            bytes += job.submission.settings.to_string().len();
            if found.len() == most || (bytes > PAGE_BYTES && !found.is_empty()) {
                return Ok((found, true));
            }
            found.push(job);
        }
        if !has_more {
            return Ok((found, false));
        }
    }
}

/// One filter: a job matches if it has one of the values.
struct Filter {
    key: String,
    values: Vec<String>,
}

impl Filter {
    fn read(wire: &Value) -> Self {
        let values = wire.get("values").and_then(Value::as_array).into_iter().flatten();
        Self {
            key: wire.get("key").and_then(Value::as_str).unwrap_or_default().to_owned(),
            values: values.filter_map(|value| value.as_str().map(str::to_owned)).collect(),
        }
    }

    fn takes(&self, job: &JobRecord) -> bool {
        self.values.iter().any(|value| match self.key.as_str() {
            "queue" => {
                resource_name(&job.submission.queue, ResourceKind::Queue)
                    == resource_name(value, ResourceKind::Queue)
            }
            "status" => job_view::status(job.stage()).text() == value,
            "fileInput" => {
                texts(&job.submission.settings, "fileInput").any(|url| url.contains(value.as_str()))
            }
            "jobEngineVersionRequested" => {
                job.submission.request.get("jobEngineVersion").and_then(Value::as_str) == Some(value)
            }
            "jobEngineVersionUsed" => value == ENGINE_VERSION,
            "videoCodec" => codecs(&job.submission.settings, "videoDescription").any(|codec| codec == value),
            "audioCodec" => codecs(&job.submission.settings, "audioDescriptions").any(|codec| codec == value),
            _ => false,
        })
    }
}

/// Returns a member of all inputs.
fn texts<'a>(settings: &'a Value, member: &'a str) -> impl Iterator<Item = &'a str> {
    let inputs = settings.get("inputs").and_then(Value::as_array).into_iter().flatten();
    inputs.filter_map(move |input| input.get(member)?.as_str())
}

/// Returns the codecs of all outputs' video or audio descriptions.
fn codecs<'a>(settings: &'a Value, description: &'a str) -> impl Iterator<Item = &'a str> {
    let groups = settings.get("outputGroups").and_then(Value::as_array).into_iter().flatten();
    let outputs =
        groups.flat_map(|group| group.get("outputs").and_then(Value::as_array).into_iter().flatten());
    outputs.flat_map(move |output| {
        let found = output.get(description);
        let each = match found {
            Some(Value::Array(each)) => each.iter().collect(),
            other => Vec::from_iter(other),
        };
        each.into_iter().filter_map(|one| one.pointer("/codecSettings/codec")?.as_str())
    })
}
