//! The five operations that presets and job templates share. System resources can be read by name and listed with
//! `listBy=SYSTEM`, but not changed.

use abanico_engine::Engine;
use abanico_engine::submission::Refusal;
use abanico_model::arn::{ResourceKind, resource_name};
use abanico_model::problem::Problems;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::routing::{MethodRouter, get, post};
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::pages::{Item, ListParams, page};
use super::request_body::read;
use super::resources::{changed, check_room, delete, new_name, own, refuse_system, view};
use crate::api::error_table::Error;
use crate::edge::Edge;

/// The differences between presets and job templates.
pub(crate) struct Family {
    /// Kind of resource.
    pub kind: ResourceKind,
    /// Member that holds one resource in an answer, such as `preset`.
    pub one: &'static str,
    /// Member that holds several resources in an answer, such as `presets`.
    pub many: &'static str,
    /// Shapes in AWS's model for creating and updating a resource.
    pub shapes: (&'static str, &'static str),
    /// Returns the view of a system resource, or `None` if there is none with this name.
    pub system: fn(&str) -> Option<Value>,
    /// Returns all system resources.
    pub systems: fn() -> Vec<Item>,
}

impl Family {
    /// Answers requests about the family as a whole: creates and lists.
    pub(crate) fn all(&'static self) -> MethodRouter<Edge> {
        let create =
            move |State(edge): State<Edge>, body: Bytes| async move { self.create(&edge.engine, body).await };
        let list = move |State(edge): State<Edge>, Query(params): Query<ListParams>| async move {
            self.list(&edge.engine, &params).await
        };
        post(create).get(list)
    }

    /// Answers requests about one resource, whose name is in the path: reads, updates and deletes it.
    pub(crate) fn one(&'static self) -> MethodRouter<Edge> {
        let read = move |State(edge): State<Edge>, Path(given): Path<String>| async move {
            self.get(&edge.engine, &given).await
        };
        let update = move |State(edge): State<Edge>, Path(given): Path<String>, body: Bytes| async move {
            self.update(&edge.engine, &given, body).await
        };
        let remove = move |State(edge): State<Edge>, Path(given): Path<String>| async move {
            self.remove(&edge.engine, &given).await
        };
        get(read).put(update).delete(remove)
    }

    async fn create(&self, engine: &Engine, body: Bytes) -> Result<(StatusCode, Json<Value>), Error> {
        let (request, problems) = read(body, self.shapes.0, None).await?;
        self.check(engine, &request, problems).await?;
        let name = new_name(&request, |name| (self.system)(name).is_some())?;
        check_room(engine, self.kind, &request, true).await?;
        let made = engine.create_resource(self.kind, &name, request).await?;
        Ok((StatusCode::CREATED, self.answer(view(&made))))
    }

    async fn get(&self, engine: &Engine, given: &str) -> Result<Json<Value>, Error> {
        Ok(self.answer(match (self.system)(&resource_name(given, self.kind)) {
            Some(system) => system,
            None => view(&own(engine, self.kind, given).await?),
        }))
    }

    async fn list(&self, engine: &Engine, params: &ListParams) -> Result<Json<Value>, Error> {
        let own = engine.resources(self.kind).await?;
        let own = own.iter().map(|resource| Item {
            name: resource.name.clone(),
            created_ms: resource.created_ms,
            is_system: false,
            category: resource.body.get("category").and_then(Value::as_str).map(str::to_owned),
            view: view(resource),
        });
        let (items, token) = page(own.chain((self.systems)()).collect(), params)?;
        let mut answer = Map::from_iter([(self.many.to_owned(), json!(items))]);
        answer.extend(token.map(|token| ("nextToken".to_owned(), json!(token))));
        Ok(Json(Value::Object(answer)))
    }

    async fn update(&self, engine: &Engine, given: &str, body: Bytes) -> Result<Json<Value>, Error> {
        self.refuse_system(given)?;
        let known = own(engine, self.kind, given).await?;
        let (change, problems) = read(body, self.shapes.1, Some(("name", known.name.clone()))).await?;
        let body = changed(&known.body, &change);
        self.check(engine, &body, problems).await?;
        check_room(engine, self.kind, &body, false).await?;
        Ok(self.answer(view(&engine.update_resource(known, body).await?)))
    }

    async fn remove(&self, engine: &Engine, given: &str) -> Result<(StatusCode, Json<Value>), Error> {
        self.refuse_system(given)?;
        delete(engine, self.kind, given).await?;
        Ok((StatusCode::ACCEPTED, Json(json!({}))))
    }

    /// Refuses a body with problems, or one whose jobs would be refused. `found` are the problems of its members.
    async fn check(&self, engine: &Engine, body: &Value, found: Problems) -> Result<(), Error> {
        let Problems(mut problems) = found;
        let known: Vec<String> = problems.iter().map(|problem| problem.pointer.clone()).collect();
        let more = match engine.resource_problems(self.kind, body).await {
            Ok(more) => more,
            // A name that does not exist is told when the rest is right, as for jobs.
            Err(Refusal::NotFound(_)) if !known.is_empty() => Vec::new(),
            Err(refusal) => return Err(refusal.into()),
        };
        problems.extend(more.into_iter().filter(|problem| !known.contains(&problem.pointer)));
        Problems(problems).into_result().map_err(|problems| Error::bad_request(problems.to_string()))
    }

    fn refuse_system(&self, given: &str) -> Result<(), Error> {
        let name = resource_name(given, self.kind);
        if (self.system)(&name).is_some() { Err(refuse_system(self.kind, &name)) } else { Ok(()) }
    }

    fn answer(&self, one: Value) -> Json<Value> {
        Json(Value::Object(Map::from_iter([(self.one.to_owned(), one)])))
    }
}
