//! Operations that are not served: in their method and path, out a refusal that names the operation and those that
//! are. Never a guess.

use http::{Method, Uri};

use crate::error_table::Error;

const SERVED: &str = "CreateJob, GetJob, ListJobs, SearchJobs, CancelJob, DescribeEndpoints, and those of presets, job templates and queues";

/// MediaConvert's other operations: first part of the path, then the names for GET of all, POST, GET, PUT and DELETE
/// of one; `-` where there is none.
const OTHERS: [(&str, [&str; 5]); 6] = [
    ("jobsQueries", ["-", "StartJobsQuery", "GetJobsQueryResults", "-", "-"]),
    ("probe", ["-", "Probe", "-", "-", "-"]),
    ("tags", ["-", "TagResource", "ListTagsForResource", "UntagResource", "-"]),
    ("versions", ["ListVersions", "-", "-", "-", "-"]),
    ("certificates", ["-", "AssociateCertificate", "-", "-", "DisassociateCertificate"]),
    ("resourceShares", ["-", "CreateResourceShare", "-", "-", "-"]),
];

pub(crate) async fn unknown(method: Method, uri: Uri) -> Error {
    let asked = match operation(&method, uri.path()) {
        Some(name) => format!("operation {name} is not served yet"),
        None => format!("there is no operation at `{method} {}`", uri.path()),
    };
    Error::not_found(format!("{asked}; served are {SERVED}"))
}

fn operation(method: &Method, path: &str) -> Option<&'static str> {
    let (first, rest) = match path.strip_prefix("/2017-08-29/")?.split_once('/') {
        Some((first, rest)) => (first, !rest.is_empty()),
        None => (path.strip_prefix("/2017-08-29/")?, false),
    };
    if first == "policy" && !rest {
        return match method.as_str() {
            "GET" => Some("GetPolicy"),
            "PUT" => Some("PutPolicy"),
            "DELETE" => Some("DeletePolicy"),
            _ => None,
        };
    }
    let (_, names) = OTHERS.iter().find(|(name, _)| *name == first)?;
    let index = match (method.as_str(), rest) {
        ("GET", false) => 0,
        ("POST", false) => 1,
        ("GET", true) => 2,
        ("PUT", true) => 3,
        ("DELETE", true) => 4,
        _ => return None,
    };
    Some(names[index]).filter(|name| *name != "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn are_awss_other_operations_called_by_name() {
        for (method, path, name) in [
            (Method::GET, "/2017-08-29/versions", Some("ListVersions")),
            (Method::PUT, "/2017-08-29/tags/arn%3Aaws", Some("UntagResource")),
            (Method::DELETE, "/2017-08-29/policy", Some("DeletePolicy")),
            (Method::GET, "/2017-08-29/probe", None),
            (Method::GET, "/2017-08-29/unheard-of", None),
            (Method::GET, "/elsewhere", None),
        ] {
            assert_eq!(operation(&method, path), name, "{method} {path}");
        }
    }

    #[tokio::test]
    async fn does_a_refusal_list_what_is_served() {
        let error = unknown(Method::GET, Uri::from_static("/2017-08-29/versions")).await;
        assert_eq!(
            error.to_string(),
            format!("operation ListVersions is not served yet; served are {SERVED}")
        );
        assert_eq!(error.code(), "NotFoundException");
    }
}
