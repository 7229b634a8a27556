//! CreateJobTemplate, GetJobTemplate, ListJobTemplates, UpdateJobTemplate and DeleteJobTemplate. Jobs can name the
//! user's templates and abanico's own. Only the user's can be changed.

use abanico_model::arn::{Arn, ResourceKind};
use abanico_model::templates::{template, template_category, template_description, template_names};
use serde_json::{Value, json};

use super::family::Family;
use super::pages::Item;

pub(crate) static FAMILY: Family = Family {
    kind: ResourceKind::JobTemplate,
    one: "jobTemplate",
    many: "jobTemplates",
    shapes: ("CreateJobTemplateRequest", "UpdateJobTemplateRequest"),
    system: system_view,
    systems,
};

fn systems() -> Vec<Item> {
    let item = |name: &str| {
        let view = system_view(name)?;
        let category = template_category(name).map(str::to_owned);
        Some(Item { name: name.to_owned(), created_ms: 0, is_system: true, category, view })
    };
    template_names().into_iter().filter_map(item).collect()
}

fn system_view(name: &str) -> Option<Value> {
    let mut view = json!({
        "name": name,
        "arn": Arn::local(ResourceKind::JobTemplate, name).to_string(),
        "type": "SYSTEM",
        "settings": template(name)?,
    });
    let told = [("category", template_category(name)), ("description", template_description(name))];
    for (member, text) in told {
        if let Some(text) = text {
            view[member] = json!(text);
        }
    }
    Some(view)
}
