//! What is no operation: in its method and path, out a refusal that says so. Never a guess.

use http::{Method, Uri};

use crate::error_table::Error;

pub(crate) async fn unknown(method: Method, uri: Uri) -> Error {
    let path = uri.path();
    Error::not_found(format!("MediaConvert has no operation at `{method} {path}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn does_a_refusal_name_what_was_asked_for() {
        let error = unknown(Method::PATCH, Uri::from_static("/2017-08-29/versions")).await;
        assert_eq!(error.to_string(), "MediaConvert has no operation at `PATCH /2017-08-29/versions`");
        assert_eq!(error.code(), "NotFoundException");
    }
}
