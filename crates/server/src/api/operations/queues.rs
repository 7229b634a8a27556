//! CreateQueue, GetQueue, ListQueues, UpdateQueue and DeleteQueue. While a queue is paused, its waiting jobs
//! do not start and its running jobs continue. The queue `Default` always exists.

use abanico_engine::{Engine, Resource};
use abanico_model::arn::{ResourceKind, resource_name};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use http::StatusCode;
use serde_json::{Value, json};

use super::pages::{Item, ListParams, page};
use super::request_body::checked;
use super::resources::{changed, check_room, delete, new_name, own, refuse_system, view};
use crate::api::error_table::{Error, ErrorKind};
use crate::edge::Edge;

const KIND: ResourceKind = ResourceKind::Queue;
/// The queue of jobs that do not name one.
const DEFAULT: &str = "Default";

pub(crate) async fn create(
    State(edge): State<Edge>,
    body: Bytes,
) -> Result<(StatusCode, Json<Value>), Error> {
    let request = checked(body, "CreateQueueRequest", None).await?;
    let name = new_name(&request, |name| name == DEFAULT)?;
    check_room(&edge.engine, KIND, &request, true).await?;
    let made = edge.engine.create_resource(KIND, &name, request).await?;
    Ok((StatusCode::CREATED, Json(json!({"queue": counted(&edge.engine, &made).await?}))))
}

pub(crate) async fn get(State(edge): State<Edge>, Path(given): Path<String>) -> Result<Json<Value>, Error> {
    let queue = found(&edge.engine, &given).await?;
    Ok(Json(json!({"queue": counted(&edge.engine, &queue).await?})))
}

pub(crate) async fn list(
    State(edge): State<Edge>,
    Query(params): Query<ListParams>,
) -> Result<Json<Value>, Error> {
    let mut queues = edge.engine.resources(KIND).await?;
    if !queues.iter().any(|queue| queue.name == DEFAULT) {
        queues.push(default_queue());
    }
    let mut items = Vec::with_capacity(queues.len());
    for queue in queues {
        let view = counted(&edge.engine, &queue).await?;
        items.push(Item {
            name: queue.name,
            created_ms: queue.created_ms,
            is_system: false,
            category: None,
            view,
        });
    }
    let (queues, token) = page(items, &params)?;
    let mut answer = json!({ "queues": queues });
    if let Some(token) = token {
        answer["nextToken"] = json!(token);
    }
    Ok(Json(answer))
}

pub(crate) async fn update(
    State(edge): State<Edge>,
    Path(given): Path<String>,
    body: Bytes,
) -> Result<Json<Value>, Error> {
    let known = found(&edge.engine, &given).await?;
    let change = checked(body, "UpdateQueueRequest", Some(("name", known.name.clone()))).await?;
    let body = changed(&known.body, &change);
    check_room(&edge.engine, KIND, &body, false).await?;
    let made = edge.engine.update_resource(known, body).await?;
    Ok(Json(json!({"queue": counted(&edge.engine, &made).await?})))
}

pub(crate) async fn remove(
    State(edge): State<Edge>,
    Path(given): Path<String>,
) -> Result<(StatusCode, Json<Value>), Error> {
    let queue = found(&edge.engine, &given).await?;
    if queue.name == DEFAULT {
        return Err(refuse_system(KIND, DEFAULT));
    }
    let (waiting, running) = edge.engine.queue_counts(&queue.arn()).await?;
    if waiting + running > 0 {
        let what = format!(
            "the queue `{}` has {} unfinished jobs; cancel them or wait",
            queue.name,
            waiting + running
        );
        return Err(Error::new(ErrorKind::Conflict, what));
    }
    delete(&edge.engine, KIND, &given).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({}))))
}

async fn found(engine: &Engine, given: &str) -> Result<Resource, Error> {
    match own(engine, KIND, given).await {
        Err(_) if resource_name(given, KIND) == DEFAULT => Ok(default_queue()),
        other => other,
    }
}

fn default_queue() -> Resource {
    Resource { kind: KIND, name: DEFAULT.to_owned(), body: json!({}), created_ms: 0, updated_ms: 0 }
}

/// Returns the view of a queue with defaults filled in and its job counts.
async fn counted(engine: &Engine, queue: &Resource) -> Result<Value, Error> {
    let (waiting, running) = engine.queue_counts(&queue.arn()).await?;
    let mut view = view(queue);
    for (name, default) in [("status", "ACTIVE"), ("pricingPlan", "ON_DEMAND")] {
        if view.get(name).is_none() {
            view[name] = json!(default);
        }
    }
    if queue.name == DEFAULT {
        view["type"] = json!("SYSTEM");
    }
    if let Some(plan) = view.as_object_mut().and_then(|view| view.remove("reservationPlanSettings")) {
        view["reservationPlan"] = plan;
        view["reservationPlan"]["status"] = json!("ACTIVE");
    }
    view["submittedJobsCount"] = json!(waiting);
    view["progressingJobsCount"] = json!(running);
    Ok(view)
}
