//! Pages of lists that are short enough to be read whole: returns up to 20 items and a token for the next page. The
//! token is opaque, belongs to its list and identifies a name, so items created in the meantime neither repeat nor hide
//! others.

use abanico_model::generated::{Order, PresetListBy};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::Value;

use crate::api::error_table::Error;

const MAX_RESULTS: usize = 20;

/// Parameters of list operations.
#[derive(Clone, Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ListParams {
    /// Only items of this category.
    pub category: Option<String>,
    /// `NAME`, `CREATION_DATE` or `SYSTEM`.
    pub list_by: Option<String>,
    /// `ASCENDING` or `DESCENDING`.
    pub order: Option<String>,
    /// Most items to return, 1 to 20.
    pub max_results: Option<String>,
    /// Token of the page to return.
    pub next_token: Option<String>,
}

/// An item of a list, with its sort keys.
pub(crate) struct Item {
    /// Name, unique in the list.
    pub name: String,
    /// When it was created, in milliseconds since 1970; 0 for system resources.
    pub created_ms: i64,
    /// Whether it is a system resource.
    pub is_system: bool,
    /// Category, if it has one.
    pub category: Option<String>,
    /// The item as the client gets it.
    pub view: Value,
}

/// Returns the page that `params` asks for, and the token of the next one if there is one.
///
/// # Errors
/// Fails if a parameter is invalid or the token belongs to another list.
pub(crate) fn page(items: Vec<Item>, params: &ListParams) -> Result<(Vec<Value>, Option<String>), Error> {
    let (most, order) = (most(params)?, order(params.order.as_deref())?);
    let list_by = params.list_by.clone().map_or(PresetListBy::Name, PresetListBy::from);
    let wants_system = match &list_by {
        PresetListBy::Name | PresetListBy::CreationDate => false,
        PresetListBy::System => true,
        PresetListBy::Other(other) => {
            let what = format!("listBy `{other}` is not one of NAME, CREATION_DATE, SYSTEM");
            return Err(Error::bad_request(what));
        }
    };
    let category = params.category.as_deref();
    let mut items: Vec<Item> = items
        .into_iter()
        .filter(|item| item.is_system == wants_system)
        .filter(|item| category.is_none() || item.category.as_deref() == category)
        .collect();
    if list_by == PresetListBy::CreationDate {
        items.sort_by(|a, b| (a.created_ms, &a.name).cmp(&(b.created_ms, &b.name)));
    } else {
        items.sort_by(|a, b| a.name.cmp(&b.name));
    }
    if order == Some(Order::Descending) {
        items.reverse();
    }
    let after = params.next_token.as_deref().map(|token| read(token, params)).transpose()?;
    let start = match after {
        None => 0,
        // Continue after the named item. If it has been deleted, start over rather than skip items.
        Some(name) => items.iter().position(|item| item.name == name).map_or(0, |place| place + 1),
    };
    let rest = &items[start..];
    let goes_on = rest.len() > most;
    let token = rest.get(most.wrapping_sub(1)).filter(|_| goes_on).map(|last| token(&last.name, params));
    Ok((rest.iter().take(most).map(|item| item.view.clone()).collect(), token))
}

fn most(params: &ListParams) -> Result<usize, Error> {
    let Some(given) = params.max_results.as_deref() else { return Ok(MAX_RESULTS) };
    let number = given.parse().ok().filter(|number| (1..=MAX_RESULTS).contains(number));
    number.ok_or_else(|| {
        Error::bad_request(format!("maxResults `{given}` is not a number from 1 to {MAX_RESULTS}"))
    })
}

/// Reads the order of a list; `None` if the client gives none.
///
/// # Errors
/// Fails if it is unknown.
pub(super) fn order(given: Option<&str>) -> Result<Option<Order>, Error> {
    match given.map(|text| Order::from(text.to_owned())) {
        Some(Order::Other(order)) => {
            Err(Error::bad_request(format!("order `{order}` is neither ASCENDING nor DESCENDING")))
        }
        known => Ok(known),
    }
}

fn seal(params: &ListParams) -> String {
    format!("{:?} {:?} {:?}", params.category, params.list_by, params.order)
}

fn token(name: &str, params: &ListParams) -> String {
    URL_SAFE_NO_PAD.encode(format!("{}\n{name}", seal(params)))
}

fn read(token: &str, params: &ListParams) -> Result<String, Error> {
    let text = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let name =
        text.as_deref().and_then(|text| text.split_once('\n')).filter(|(sealed, _)| *sealed == seal(params));
    name.map(|(_, name)| name.to_owned())
        .ok_or_else(|| Error::bad_request("nextToken does not belong to this list; list again without it"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn items() -> Vec<Item> {
        let item = |number: usize| Item {
            name: format!("n{number:02}"),
            created_ms: 100 - i64::try_from(number).unwrap(),
            is_system: false,
            category: number.is_multiple_of(2).then(|| "even".to_owned()),
            view: json!(number),
        };
        (0..25).map(item).collect()
    }

    #[test]
    fn pages_add_up_in_every_order() {
        for (list_by, order, first) in [
            ("NAME", "ASCENDING", 0),
            ("NAME", "DESCENDING", 24),
            ("CREATION_DATE", "ASCENDING", 24),
            ("CREATION_DATE", "DESCENDING", 0),
        ] {
            let mut params = ListParams {
                list_by: Some(list_by.to_owned()),
                order: Some(order.to_owned()),
                max_results: Some("7".to_owned()),
                ..ListParams::default()
            };
            let mut seen = Vec::new();
            loop {
                let (views, token) = page(items(), &params).unwrap();
                seen.extend(views);
                params.next_token = token;
                if params.next_token.is_none() {
                    break;
                }
            }
            assert_eq!((seen.len(), &seen[0]), (25, &json!(first)), "{list_by} {order}");
        }
    }

    #[test]
    fn token_belongs_to_its_list() {
        let by_name = ListParams { max_results: Some("1".to_owned()), ..ListParams::default() };
        let (_, token) = page(items(), &by_name).unwrap();
        let other =
            ListParams { next_token: token, category: Some("even".to_owned()), ..ListParams::default() };
        assert!(page(items(), &other).is_err());
        let category = ListParams { category: Some("even".to_owned()), ..ListParams::default() };
        assert_eq!(page(items(), &category).unwrap().0.len(), 13);
    }
}
