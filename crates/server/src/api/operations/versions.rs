//! ListVersions: returns the only version of the job engine, that of this program.

use axum::Json;
use axum::extract::Query;
use serde_json::{Value, json};

use super::pages::{Item, ListParams, page};
use crate::api::error_table::Error;

/// Version of the job engine: the version of this program.
pub(crate) const ENGINE_VERSION: &str = env!("CARGO_PKG_VERSION");

pub(crate) async fn list(Query(params): Query<ListParams>) -> Result<Json<Value>, Error> {
    let item = Item {
        name: ENGINE_VERSION.to_owned(),
        created_ms: 0,
        is_system: false,
        category: None,
        view: json!({"version": ENGINE_VERSION}),
    };
    let (versions, _) = page(vec![item], &params)?;
    Ok(Json(json!({ "versions": versions })))
}
