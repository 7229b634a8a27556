//! Answers requests that match no MediaConvert operation with an error that names the method and path.

use http::{Method, Uri};

use crate::api::error_table::Error;

pub(crate) async fn unknown(method: Method, uri: Uri) -> Error {
    let path = uri.path();
    Error::not_found(format!("MediaConvert has no operation at `{method} {path}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn refusal_names_method_and_path() {
        let error = unknown(Method::PATCH, Uri::from_static("/2017-08-29/versions")).await;
        assert_eq!(error.to_string(), "MediaConvert has no operation at `PATCH /2017-08-29/versions`");
        assert_eq!(error.code(), "NotFoundException");
    }
}
